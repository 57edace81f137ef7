"""Body size: checks of height and weight, body surface area."""

from __future__ import annotations

import math

from cinecmr.errors import RefusedInput

HEIGHT_CM = (50.0, 250.0)
WEIGHT_KG = (2.0, 400.0)
AGE_Y = (0.0, 120.0)


def check_fact(name: str, value: float, limits: tuple[float, float], unit: str) -> float:
    """Return `value` where it lies within limits that no living person leaves.

    Raises:
        RefusedInput: outside; a height given in metres is the usual cause.

    >>> check_fact("height", 172.0, HEIGHT_CM, "cm")
    172.0
    """
    low, high = limits
    if not (math.isfinite(value) and low <= value <= high):
        raise RefusedInput(
            f"implausible-{name}",
            f"{name} {value:g} {unit} is not between {low:g} and {high:g} {unit}; check value and unit",
        )
    return value


def bsa_mosteller(height_m: float, weight_kg: float) -> float:
    """Body surface area, m2: sqrt(height cm x weight kg / 3600).

    Source: Mosteller 1987, doi 10.1056/NEJM198710223171717.

    >>> round(bsa_mosteller(1.80, 80.0), 3)
    2.0
    """
    return math.sqrt(height_m * 100 * weight_kg / 3600)


def bsa_dubois(height_m: float, weight_kg: float) -> float:
    """Body surface area, m2: 0.007184 x (height cm)^0.725 x (weight kg)^0.425.

    Source: Du Bois and Du Bois 1916, doi 10.1001/archinte.1916.00080130010002.

    >>> round(bsa_dubois(1.70, 70.0), 2)
    1.81
    """
    return 0.007184 * math.pow(height_m * 100, 0.725) * math.pow(weight_kg, 0.425)
