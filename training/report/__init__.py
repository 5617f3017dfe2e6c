"""The evaluation page: what a trained network is worth, in Markdown and pictures, before any engine or calibrator."""
