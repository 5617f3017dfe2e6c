"""The network: a timm backbone, spatial attention whose map is an output, one MLP a head, and uncertainty.

Photos enter as uint8, as they leave `server.imaging`: normalisation is part of the network,
so that what is exported is what was trained.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from training.backbone import create_backbone, normalisation_of
from training.recipe import STRIDE, NetworkSection
from training.symmetry import symmetries_of, turned, turned_back

_STATISTICS, _LOOK_STATISTICS = 3, 3
_MEAN_FIELD_FACTOR = torch.pi / 8
_LOG_VARIANCE_RANGE = (-6.0, 4.0)
_MIN_SQUARED_DISTANCE = _MIN_VARIANCE = 1e-6
_GREATEST_DEVIATION = 32.0
"""Of a place from its channel's mean, in its spread: cubes of more do not fit into an engine's half precision."""
_LOOK_UNIT = 0.05
"""Of a feature behind batch norm: below it a look's scale is linear, above it logarithmic."""


class HeadShape(NamedTuple):
    """A head as the network sees it."""

    id: str
    label_count: int


class HeadOutput(NamedTuple):
    """What one head says.

    Attributes:
        logits: [batch, label_count] float32. The mean of the noisy logits.
        log_variance: [batch] float32. The log of the variance of each of them.
    """

    logits: Tensor
    log_variance: Tensor

    @property
    def effective_logits(self) -> Tensor:
        """[batch, label_count] float32: logits whose softmax (or sigmoid) approximates the mean over the noise.

        Mean-field approximation of the Gaussian-softmax integral: Lu, Ie, Sha, "Mean-field approximation to
        Gaussian-softmax integral with application to uncertainty estimation", 2020.
        """
        return self.logits * torch.rsqrt(1 + _MEAN_FIELD_FACTOR * self.log_variance.exp()).unsqueeze(1)


class NetworkOutput(NamedTuple):
    """What the network says about a batch.

    Attributes:
        heads: By head id.
        embedding: [batch, feature_width] float32. The attended features that all heads share.
        attention: [batch, rows, columns] float32. Non-negative, summing to 1 over a photo.
        look: [batch, look_width] float32. What the photo looks like, whatever its labels: mean, spread and skewness of
            each channel of an early feature map and of the last but one, on a scale that is about logarithmic.
    """

    heads: dict[str, HeadOutput]
    embedding: Tensor
    attention: Tensor
    look: Tensor


class SpatialAttention(nn.Module):
    """Pools a feature map by learnt weights over its places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Conv2d(width, width // 4, 1), nn.Tanh(), nn.Conv2d(width // 4, 1, 1))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the pooled features and the weights.

        Args:
            features: [batch, width, rows, columns] float32.

        Returns:
            [batch, width] float32, and [batch, rows, columns] float32 that sum to 1 over a photo.
        """
        weights = self.score(features).flatten(2).softmax(dim=2)
        pooled = (features.flatten(2) * weights).sum(dim=2)
        return pooled, weights.reshape(weights.shape[0], features.shape[2], features.shape[3])


def _even_weights(features: Tensor) -> Tensor:
    """Returns [batch, rows, columns] weights of the places of a feature map: all alike, summing to 1 over a photo."""
    return torch.full_like(features[:, 0], 1 / (features.shape[2] * features.shape[3]))


class MeanPooling(nn.Module):
    """Pools a feature map by counting all its places alike."""

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what `SpatialAttention` returns; no place weighs more than another."""
        return features.mean(dim=(2, 3)), _even_weights(features)


def _spread(features: Tensor) -> Tensor:
    """Returns [batch, width]: the standard deviation of each channel over the places of [batch, width, place_count]."""
    return features.var(dim=2, correction=0).clamp_min(_MIN_VARIANCE).sqrt()


def _look_of(features: Tensor) -> Tensor:
    """Returns [batch, 3 * width] float32: mean, spread and skewness of each channel of [batch, width, rows, columns].

    A blur makes spreads a fraction of what they were, and a Gaussian sees a fraction best in the logarithm; `asinh` is
    one that knows small and negative numbers too. Skewness tells a few bright spots on a dark ground from the reverse,
    and so a negative from a photo.
    """
    places = features.float().flatten(2)
    mean, spread = places.mean(dim=2), _spread(places)
    standard = ((places - mean.unsqueeze(2)) / spread.unsqueeze(2)).clamp(-_GREATEST_DEVIATION, _GREATEST_DEVIATION)
    return torch.cat([mean / _LOOK_UNIT, spread / _LOOK_UNIT, standard.pow(3).mean(dim=2)], dim=1).asinh()


class StatisticsPooling(nn.Module):
    """Pools feature maps by the mean, the greatest and the spread of each channel, normalised and projected."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        count = _STATISTICS * sum(channels)
        self.projected = nn.Sequential(nn.BatchNorm1d(count), nn.Linear(count, width))

    def forward(self, *maps: Tensor) -> tuple[Tensor, Tensor]:
        """Returns [batch, width] float32, and even weights [batch, rows, columns] of the places of the first map.

        Args:
            maps: Each [batch, channels, rows, columns]; as many channels as the pooling was built for, in its order.
        """
        found = [each.float().flatten(2) for each in maps]
        statistics = [value for each in found for value in (each.mean(dim=2), each.amax(dim=2), _spread(each))]
        return self.projected(torch.cat(statistics, dim=1)), _even_weights(maps[0])


class HeadMlp(nn.Module):
    """Answers one question, and says how noisy its logits are."""

    def __init__(
        self, *, feature_width: int, hidden_width: int, label_count: int, dropout: float, batch_norm: bool
    ) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(feature_width, hidden_width),
            nn.BatchNorm1d(hidden_width) if batch_norm else nn.Identity(),
            nn.Hardswish(),
            nn.Dropout(dropout),
        )
        self.logits = nn.Linear(hidden_width, label_count)
        self.log_variance = nn.Linear(hidden_width, 1)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.constant_(self.log_variance.bias, -1.0)

    def forward(self, embedding: Tensor) -> HeadOutput:
        """Returns logits and their log-variance for [batch, feature_width] float32 embeddings."""
        hidden = self.hidden(embedding)
        # Under mixed precision the layers answer in bfloat16; a loss wants all its digits.
        log_variance = self.log_variance(hidden).float().squeeze(1).clamp(*_LOG_VARIANCE_RANGE)
        return HeadOutput(self.logits(hidden).float(), log_variance)


class FeatureDensity(nn.Module):
    """Class-conditional Gaussians with one covariance over features; fitted once, after training.

    The features are a photo's look, and not the embedding: that keeps what tells labels apart, and forgets much of what
    tells photos apart, so that strange ones can come to lie among the usual. Lee et al., "A simple unified framework
    for detecting out-of-distribution samples and adversarial attacks", 2018, find the layers before the last of use.

    Attributes:
        whitening: [width, width] float32. Turns squared Mahalanobis into squared Euclidean distances.
        class_means: [class_count, width] float32. The whitened mean of each class.
    """

    whitening: Tensor
    class_means: Tensor

    def __init__(self, *, width: int, class_count: int) -> None:
        super().__init__()
        self.register_buffer("whitening", torch.eye(width))
        self.register_buffer("class_means", torch.zeros(class_count, width))

    def forward(self, features: Tensor) -> Tensor:
        """Returns [batch] float32: the log of the squared Mahalanobis distance to the nearest class.

        Args:
            features: [batch, width] float32.
        """
        whitened = features @ self.whitening
        squared = (whitened.unsqueeze(1) - self.class_means).square().sum(dim=2)
        return squared.amin(dim=1).clamp_min(_MIN_SQUARED_DISTANCE).log()


class InspectionNetwork(nn.Module):
    """Photos in, everything that Loupe asks of them out.

    No label depends on how a phone was held, so a photo may be seen in several symmetries of the square: their
    features are averaged before any head answers (Cohen and Welling, "Group equivariant convolutional networks",
    2016, pool features over the group).

    Attributes:
        views: Symmetries in which a photo is seen: 1, 2, 4 or 8.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, section: NetworkSection, heads: Sequence[HeadShape], *, density_class_count: int) -> None:
        """Builds the network.

        Args:
            section: The architecture.
            heads: In the task's order.
            density_class_count: Classes that the feature density tells apart.
        """
        super().__init__()
        self.section = section
        self.views = section.views
        self.backbone = create_backbone(section)
        mean, std = normalisation_of(section, self.backbone)
        self.register_buffer("mean", 255 * torch.tensor(mean).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(std).reshape(1, 3, 1, 1), persistent=False)
        width = section.feature_width
        early_channels, fine_channels, coarse_channels = cast("Any", self.backbone.feature_info).channels()
        if section.pooling == "statistics":
            sizes = 1 + len(section.pyramid_px)
            self.statistics = StatisticsPooling((fine_channels, coarse_channels) * sizes, width)
        else:
            self.fine = nn.Conv2d(fine_channels, width, 1, bias=False)
            self.coarse = nn.Conv2d(coarse_channels, width, 1, bias=False)
            self.fused = nn.Sequential(nn.BatchNorm2d(width), nn.Hardswish())
            self.attention = SpatialAttention(width) if section.spatial_attention else MeanPooling()
        self.heads = nn.ModuleDict(
            {
                head.id: HeadMlp(
                    feature_width=width,
                    hidden_width=section.head_width,
                    label_count=head.label_count,
                    dropout=section.head_dropouts.get(head.id, section.dropout),
                    batch_norm=section.head_batch_norm,
                )
                for head in heads
            }
        )
        look_width = _LOOK_STATISTICS * (early_channels + fine_channels)
        self.density = FeatureDensity(width=look_width, class_count=density_class_count)

    def forward(self, images: Tensor) -> NetworkOutput:
        """Looks at a batch.

        Args:
            images: [batch, size, size, 3] uint8. RGB.
        """
        pixels = (self._shrunk(images.permute(0, 3, 1, 2).float()) - self.mean) / self.std
        symmetries = symmetries_of(self.views, self.section.four_views)
        seen = torch.cat([turned(pixels, symmetry, dims=(2, 3)) for symmetry in symmetries])
        early, fine, coarse = self.backbone(seen)
        embeddings, attentions = cast("Any", self._pooled(fine, coarse, *self._smaller_maps(seen)))
        embedding = self._over_views(embeddings)
        maps = attentions.unflatten(0, (self.views, -1))
        upright = [turned_back(maps[place], each, dims=(1, 2)) for place, each in enumerate(symmetries)]
        attention = torch.stack(upright).mean(dim=0)
        answers = {each: head(embedding) for each, head in self.heads.items()}
        looks = torch.cat([_look_of(each.detach()) for each in (early, fine)], dim=1)
        return NetworkOutput(answers, embedding, attention, self._over_views(looks))

    def _over_views(self, features: Tensor) -> Tensor:
        """Returns [batch, width]: the mean over the views of [views * batch, width]."""
        return features.reshape(self.views, -1, features.shape[1]).mean(dim=0)

    def _smaller_maps(self, seen: Tensor) -> list[Tensor]:
        """Returns the last two maps of the same photos at the sides of the image pyramid, in its order."""
        shares = [side / self.section.seen_size_px for side in self.section.pyramid_px]
        sides = [max(STRIDE, round(share * seen.shape[-1])) for share in shares]
        return [each for side in sides for each in self.backbone(_resized(seen, side))[1:]]

    def _pooled(self, fine: Tensor, coarse: Tensor, *smaller: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what the backbone's maps have to say of a photo, and how much its places weighed."""
        if self.section.pooling == "statistics":
            pooled: tuple[Tensor, Tensor] = self.statistics(fine, coarse, *smaller)
            return pooled
        coarse = nn.functional.interpolate(self.coarse(coarse), size=fine.shape[2:], mode="nearest")
        attended: tuple[Tensor, Tensor] = self.attention(self.fused(self.fine(fine) + coarse))
        return attended

    def _shrunk(self, pixels: Tensor) -> Tensor:
        """Returns photos as large as the backbone sees them; in training they may be of another size than served."""
        if self.section.seen_size_px == self.section.input_size_px:
            return pixels
        return _resized(pixels, shrunk_side(pixels.shape[-1], self.section))


def _resized(pixels: Tensor, side: int) -> Tensor:
    """Returns [batch, 3, side, side], without a filter against aliasing, which engines do not have."""
    return nn.functional.interpolate(pixels, size=(side, side), mode="bilinear", align_corners=False)


def shrunk_side(given_px: int, section: NetworkSection) -> int:
    """Returns the side to which photos are shrunk: of the served size as the task says, else a multiple of 32."""
    if given_px == section.input_size_px:
        return section.seen_size_px
    return max(STRIDE, round(given_px * section.seen_size_px / section.input_size_px / STRIDE) * STRIDE)


class ServedNetwork(nn.Module):
    """The network with the outputs that an engine has, in the engine's order."""

    def __init__(self, network: InspectionNetwork) -> None:
        super().__init__()
        self.network = network

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs, in order."""
        return (*self.network.heads, "uncertainty", "attention_map")

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Returns, all float32: each head's raw logits, `[batch, 2]` uncertainty, `[batch, rows, columns]` attention.

        Args:
            image: [batch, size, size, 3] uint8. RGB.
        """
        output = self.network(image)
        variances = torch.stack([head.log_variance.exp() for head in output.heads.values()], dim=1)
        uncertainty = torch.stack([self.network.density(output.look), variances.mean(dim=1)], dim=1)
        attention = output.attention / output.attention.amax(dim=(1, 2), keepdim=True)
        return (*(head.effective_logits for head in output.heads.values()), uncertainty, attention)
