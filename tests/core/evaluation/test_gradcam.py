"""Maps: the right place, by every method, on networks whose answer is known."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from core.evaluation.maps.gradcam import finding_logits, finding_maps
from core.evaluation.maps.map_geometry import peak_of
from core.evaluation.maps.methods import METHODS
from core.model.densenet import NUM_FEATURES, build_model

FINDINGS = ("Mass", "Nodule", "Effusion")


class SeesBrightness(nn.Module):
    """Stands in for the convolutions: channel k is the brightness of a cell, in quadrant k only."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, pixels_BCSS):
        cells_B1MM = nn.functional.avg_pool2d(pixels_BCSS[:, :1], 32) * self.scale
        rows, columns = cells_B1MM.shape[2:]
        maps = torch.zeros(len(pixels_BCSS), NUM_FEATURES, rows, columns)
        down, across = rows // 2, columns // 2
        for channel, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
            quadrant = torch.zeros(rows, columns)
            quadrant[row * down : (row + 1) * down, column * across : (column + 1) * across] = 1
            maps[:, channel] = cells_B1MM[:, 0] * quadrant
        return maps


def sees_one_quadrant(quadrant):
    """A network whose only finding is how bright one quadrant is."""
    model = build_model(("Mass",), seed=0)
    model.features = SeesBrightness()
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.weight[0, quadrant] = 4.0
        model.classifier.weight[0, (quadrant + 1) % 4] = -1.0
    return model


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size_px", [64, 128, 224, 320])
@pytest.mark.parametrize("quadrant", range(4))
def test_the_peak_is_in_the_one_quadrant_that_counts(method, size_px, quadrant):
    model = sees_one_quadrant(quadrant)
    pixels = torch.full((1, 1, size_px, size_px), 0.9)
    found = finding_maps(model, pixels, ["Mass"], method)
    x, y = peak_of(found.maps_BMM[0], size_px)
    assert (x >= size_px / 2) == bool(quadrant % 2)
    assert (y >= size_px / 2) == bool(quadrant // 2)


@pytest.fixture(scope="module")
def trained_like():
    """A whole DenseNet with weights that are neither zero nor equal."""
    model = build_model(FINDINGS, seed=3)
    with torch.no_grad():
        model.classifier.weight.normal_(generator=torch.Generator().manual_seed(1))
    return model.eval()


def noise(batch, size_px, seed=0):
    return torch.rand(batch, 1, size_px, size_px, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_grad_cam_equals_cam_up_to_a_positive_factor(trained_like, memory_format):
    model = trained_like.to(memory_format=memory_format)
    pixels, findings = noise(3, 96), ["Mass", "Effusion", "Nodule"]
    grad = finding_maps(model, pixels, findings, "grad-cam").maps_BMM
    plain = finding_maps(model, pixels, findings, "cam").maps_BMM
    assert plain.max() > 0
    cells = plain[0].size
    np.testing.assert_allclose(grad * cells, plain, rtol=1e-3, atol=1e-4)


def by_the_papers(model, pixels_11SS, finding, method):
    """The map from autograd's gradients, element by element, in float64.

    Grad-CAM: Selvaraju et al. 2017, equations 1 and 2. LayerCAM: Jiang et al. 2021 (doi
    10.1109/TIP.2021.3089943). Grad-CAM++: Chattopadhyay et al. 2018, alpha by equation 19.
    """
    exact = copy.deepcopy(model).double()
    maps_CMM = exact.feature_maps(pixels_11SS.double()).detach()[0].requires_grad_()
    logit = exact.classify(maps_CMM[None])[0, model.findings.index(finding)]
    (g_CMM,) = torch.autograd.grad(logit, maps_CMM)
    a_CMM = maps_CMM.detach()
    if method == "grad-cam":
        return (g_CMM.mean((1, 2), keepdim=True) * a_CMM).sum(0).clamp(min=0).numpy()
    if method == "layer-cam":
        return (g_CMM.clamp(min=0) * a_CMM).sum(0).clamp(min=0).numpy()
    under_CMM = 2 * g_CMM**2 + a_CMM.sum((1, 2), keepdim=True) * g_CMM**3
    alpha_CMM = torch.where(under_CMM != 0, g_CMM**2 / under_CMM, 0.0)
    weight_C11 = (alpha_CMM * g_CMM.clamp(min=0)).sum((1, 2), keepdim=True)
    return (weight_C11 * a_CMM).sum(0).clamp(min=0).numpy()


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "layer-cam"])
def test_a_map_is_what_the_papers_equations_give_in_float64(trained_like, method):
    pixels, findings = noise(3, 96, seed=4), ["Mass", "Effusion", "Nodule"]
    found = finding_maps(trained_like, pixels, findings, method).maps_BMM
    for place, finding in enumerate(findings):
        exact_MM = by_the_papers(trained_like, pixels[place : place + 1], finding, method)
        assert exact_MM.max() > 0
        np.testing.assert_allclose(found[place], exact_MM, rtol=0, atol=1e-4 * exact_MM.max())
        assert found[place].argmax() == exact_MM.argmax()


def test_grad_cam_plus_plus_is_what_the_derivatives_of_the_exponential_give():
    """As Chattopadhyay et al. 2018 define it: alpha is of Y's derivatives, with Y = exp(logit)."""
    model = sees_one_quadrant(0)
    with torch.no_grad():
        model.classifier.weight[0, :4] = torch.tensor([4.0, 0.5, 2.0, -1.0])
    pixels = 0.6 + 0.4 * torch.rand(1, 1, 2, 2, generator=torch.Generator().manual_seed(2))
    pixels = pixels.repeat_interleave(32, 2).repeat_interleave(32, 3)  # cells of unlike brightness
    maps_CMM = model.feature_maps(pixels)[0].double().detach().requires_grad_()
    score = copy.deepcopy(model).double().classify(maps_CMM[None])[0, 0].exp()

    def slope(of, at):
        return torch.autograd.grad(of, maps_CMM, create_graph=True)[0][at]

    expected = torch.zeros(2, 2, dtype=torch.float64)
    for channel in range(4):
        weight = 0.0
        for cell in np.ndindex(2, 2):
            at = (channel, *cell)
            first = slope(score, at)
            second = slope(first, at)
            third = slope(second, at)
            alpha = second / (2 * second + maps_CMM[channel].sum() * third)
            weight += alpha * first.clamp(min=0) / score  # a factor that all cells share
        expected += (weight * maps_CMM[channel]).detach()
    found = finding_maps(model, pixels, ["Mass"], "grad-cam++").maps_BMM[0]
    assert (expected > 0).sum() == 3
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5)


def test_a_batch_gives_the_maps_and_logits_of_its_images_one_by_one(trained_like):
    pixels, findings = noise(3, 64), ["Mass", "Effusion", "Nodule"]
    together = finding_maps(trained_like, pixels, findings, "grad-cam")
    for place, finding in enumerate(findings):
        alone = finding_maps(trained_like, pixels[place : place + 1], [finding], "grad-cam")
        np.testing.assert_allclose(together.maps_BMM[place], alone.maps_BMM[0], rtol=1e-3)
        assert together.logits_B[place] == pytest.approx(alone.logits_B[0], rel=1e-4)
    np.testing.assert_allclose(
        finding_logits(trained_like, pixels, findings), together.logits_B, rtol=1e-4
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_network_is_left_as_it_was(method):
    model = build_model(FINDINGS, seed=0).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    finding_maps(model, noise(2, 64), ["Mass", "Nodule"], method)
    assert model.training
    assert not model.cam_layer._forward_hooks
    assert all(parameter.grad is None for parameter in model.parameters())
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("method", METHODS)
def test_a_map_that_nothing_speaks_for_is_zero_and_has_no_peak(method):
    model = sees_one_quadrant(0)
    with torch.no_grad():
        model.classifier.weight[0] = -model.classifier.weight[0].abs()
    found = finding_maps(model, torch.full((1, 1, 128, 128), 0.9), ["Mass"], method)
    assert found.maps_BMM.max() == 0
    assert peak_of(found.maps_BMM[0], 128) is None


@pytest.mark.parametrize("method", METHODS)
def test_what_is_a_billionth_of_what_speaks_against_it_is_no_evidence(method):
    model = sees_one_quadrant(0)
    pixels = torch.full((1, 1, 128, 128), 0.9)
    for weight, is_evidence in ((4e-9, False), (4e-3, True)):
        with torch.no_grad():
            model.classifier.weight[0, :2] = torch.tensor([weight, -4.0])
        found = finding_maps(model, pixels, ["Mass"], method)
        assert (found.maps_BMM.max() > 0) == is_evidence


def test_a_finding_that_the_network_does_not_know_is_refused():
    with pytest.raises(ValueError, match="Hernia"):
        finding_maps(build_model(FINDINGS, seed=0), noise(1, 64), ["Hernia"])
