"""An app's own colour on its page, changed as little as legible text needs. Pure.

Contrast is that of WCAG 2.2 (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio).
"""

import colorsys
import functools
import re

MIN_CONTRAST = 4.5  # of text: WCAG's level AA
# What the colour is seen on, as in styles/base.css: `paper`, `card` and `tint`. Then the text on the colour itself.
LIGHT, DARK = ("#fbfaf7", "#ffffff", "#eeece5"), ("#121917", "#1b2421", "#24302c")
ON_LIGHT, ON_DARK = "#ffffff", "#0d1513"
_STEP = 0.01  # of lightness, from 0 to 1

_HEX = re.compile(r"#(?:[0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE | re.ASCII)
_RGB = re.compile(r"rgb\(\s*(\d{1,3})(?:\s*,\s*|\s+)(\d{1,3})(?:\s*,\s*|\s+)(\d{1,3})\s*\)", re.IGNORECASE | re.ASCII)


def colour(text: str) -> str:
    """A colour of CSS as `#rrggbb`, from a hexadecimal one or `rgb(…)`; "" for any other text."""
    if _HEX.fullmatch(text):
        digits = text[1:].lower()
        return "#" + (digits if len(digits) == 6 else "".join(digit * 2 for digit in digits))
    if (found := _RGB.fullmatch(text)) and all(int(part) <= 255 for part in found.groups()):
        return "#" + "".join(f"{int(part):02x}" for part in found.groups())
    return ""


@functools.lru_cache
def sheet(text: str) -> str:
    """A style sheet that makes this colour the page's, in light and in dark; "" for no colour."""
    if not (base := colour(text)):
        return ""
    light, dark = legible(base, LIGHT, -_STEP), legible(base, DARK, _STEP)
    in_dark = f"@media (prefers-color-scheme: dark) {{ :root {{ --accent: {dark}; --on: {ON_DARK}; }} }}"
    return f":root {{ --accent: {light}; --on: {ON_LIGHT}; }}\n{in_dark}\n"


def legible(base: str, grounds: tuple[str, ...], step: float) -> str:
    """The colour, lighter or darker by as many steps as text of it needs on each of the grounds."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*_parts(base))
    shade = base
    while min(contrast(shade, ground) for ground in grounds) < MIN_CONTRAST:
        lightness += step
        shade = "#" + "".join(f"{round(part * 255):02x}" for part in colorsys.hls_to_rgb(hue, lightness, saturation))
    return shade


def contrast(one: str, other: str) -> float:
    """How well two colours differ, from 1 to 21."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(text: str) -> float:
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _parts(text))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _parts(text: str) -> tuple[float, float, float]:
    """Red, green and blue of `#rrggbb`, each from 0 to 1."""
    red, green, blue = (int(text[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue
