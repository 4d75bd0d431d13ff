"""An app's own colour, which has to be legible whatever it is."""

import re
from pathlib import Path

import pytest

from duck.faces.page import theme

SHEET = (Path(theme.__file__).parent / "styles/base.css").read_text("utf-8")
GROUNDS = ("paper", "card", "tint")
AWKWARD = [
    "#ffffff",
    "#000000",
    "#ffff00",
    "#808080",
    "#ff0000",
    "#1c64f2",
    "#0000ff",
    "#00ff7f",
    "#fef7c3",
    "#7a5af8",
    "#010203",
]


def named(name: str) -> list[str]:
    """The values of a colour in the style sheet, in light and in dark."""
    values = [re.sub(r"^#(.)(.)(.)$", r"#\1\1\2\2\3\3", value) for value in re.findall(rf"--{name}: (#\w+);", SHEET)]
    assert len(values) == 2
    return values


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio."""

    def luminance(colour: str) -> float:
        channels = [part / 255 for part in bytes.fromhex(colour[1:])]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    lighter, darker = max(luminance(one), luminance(other)), min(luminance(one), luminance(other))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_wcag() -> None:
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert theme.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # webaim.org/resources/contrastchecker
    assert theme.contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.01)


def test_the_colour_is_seen_on_what_the_style_sheet_says() -> None:
    light, dark = zip(*map(named, GROUNDS), strict=True)
    assert (light, dark) == (theme.LIGHT, theme.DARK)
    assert named("on") == [theme.ON_LIGHT, theme.ON_DARK]


@pytest.mark.parametrize("colour", AWKWARD)
def test_every_colour_becomes_legible_in_light_and_in_dark(colour: str) -> None:
    accents, ons = (re.findall(rf"--{name}: (#[0-9a-f]{{6}});", theme.sheet(colour)) for name in ("accent", "on"))
    for accent, *grounds in zip(accents, ons, *map(named, GROUNDS), strict=True):
        assert min(contrast(accent, ground) for ground in grounds) >= 4.5


def test_a_colour_that_is_legible_stays_as_it_is() -> None:
    assert theme.sheet("#0b665f").startswith(":root { --accent: #0b665f; --on: #ffffff; }\n@media (prefers-color-scheme: dark) {")
    assert "--accent: #74d3c7;" in theme.sheet("#74d3c7")


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#1C64F2", "#1c64f2"),
        ("#Fa0", "#ffaa00"),
        ("rgb(28, 100, 242)", "#1c64f2"),
        ("RGB(0 0 255)", "#0000ff"),
        ("", ""),
        ("red", ""),
        ("#12345", ""),
        ("#1c64f2;}body{display:none", ""),
        ("rgb(256,0,0)", ""),
        ("rgb(1,2)", ""),
        ("\u0661\u0662\u0663", ""),
        ("</style>", ""),
    ],
)
def test_nothing_but_a_colour_is_one(text: str, colour: str) -> None:
    assert theme.colour(text) == colour
    assert bool(theme.sheet(text)) == bool(colour)
