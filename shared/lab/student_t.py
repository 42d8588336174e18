"""Student's t distribution: its probability, and the quantile that has one; pure functions of numbers."""

import math


def student_t_quantile(q: float, degrees: float) -> float:
    """Return the q-quantile of Student's t distribution: where `student_t_cdf` is q, found by bisection."""
    if q == 0.5:
        return 0.0
    if q < 0.5:
        return -student_t_quantile(1.0 - q, degrees)
    low, high = 0.0, 1.0
    while student_t_cdf(high, degrees) < q:
        low, high = high, 2.0 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2.0
        low, high = (middle, high) if student_t_cdf(middle, degrees) < q else (low, middle)
    return high


def student_t_cdf(t: float, degrees: float) -> float:
    """Return the probability that Student's t is at most t.

    By the regularised incomplete beta function (Abramowitz and Stegun 1964, 26.5.27), computed as a continued fraction
    (26.5.8) in the manner of Lentz 1976, "Generating Bessel functions in Mie scattering calculations".
    """
    tail = 0.5 * _incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + t * t))
    return 1.0 - tail if t > 0 else tail


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Return the regularised incomplete beta function."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    if x > (a + 1.0) / (a + b + 2.0):  # the fraction converges fast on the other side only
        return 1.0 - _incomplete_beta(b, a, 1.0 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny = 1e-300
    value, c, d = 1.0, 1.0, 0.0
    for step in range(500):
        half = step // 2
        if step == 0:
            numerator = 1.0
        elif step % 2:
            numerator = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            numerator = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        d = 1.0 / (1.0 + numerator * d or tiny)
        c = 1.0 + numerator / c or tiny
        value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return front * (value - 1.0)
