#include "tui/format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *format_count(uint64_t count, char ret[FORMAT_MAX])
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count), i;
	char *to = ret;

	for (i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return ret;
}

/* Three digits that count, then the unit: a value that would round up to the next unit is written in it. */
static void format_scaled(double value, double base, const char *units, char ret[FORMAT_MAX])
{
	while (units[1] && value >= (base == 1000 ? 999.5 : 1023.5)) {
		value /= base;
		units++;
	}
	if (*units == ' ')
		snprintf(ret, FORMAT_MAX, "%.0f", value);
	else if (value < 99.95)
		snprintf(ret, FORMAT_MAX, "%.1f%c", value, *units);
	else
		snprintf(ret, FORMAT_MAX, "%.0f%c", value, *units);
}

const char *format_short(uint64_t count, char ret[FORMAT_MAX])
{
	format_scaled((double)count, 1000, " kMGTPE", ret);
	return ret;
}

const char *format_bytes(uint64_t bytes, char ret[FORMAT_MAX])
{
	format_scaled((double)bytes, 1024, " KMGTPE", ret);
	return ret;
}

static const char *format_unknown(char ret[FORMAT_MAX])
{
	memcpy(ret, "-", 2);
	return ret;
}

const char *format_share(uint64_t part, uint64_t whole, char ret[FORMAT_MAX])
{
	if (!whole)
		return format_unknown(ret);
	snprintf(ret, FORMAT_MAX, "%.1f%%", 100.0 * (double)part / (double)whole);
	return ret;
}

double share_interval(uint64_t part, uint64_t whole)
{
	const double z = 1.959964;
	double n = (double)whole, p;

	if (!whole)
		return NAN;
	p = (double)part / n;
	if (p > 1)
		p = 1;
	return z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));
}

const char *format_interval(uint64_t part, uint64_t whole, char ret[FORMAT_MAX])
{
	if (!whole)
		return format_unknown(ret);
	snprintf(ret, FORMAT_MAX, "±%.1f", 100 * share_interval(part, whole));
	return ret;
}

const char *format_percent(double percent, char ret[FORMAT_MAX])
{
	if (isnan(percent))
		return format_unknown(ret);
	/* 99.96 is not 100: only what is whole is called whole */
	if (percent < 100 && percent > 99.9)
		percent = 99.9;
	snprintf(ret, FORMAT_MAX, percent >= 99.95 ? "%.0f%%" : "%.1f%%", percent);
	return ret;
}

const char *format_whole_percent(double percent, char ret[FORMAT_MAX])
{
	if (isnan(percent))
		return format_unknown(ret);
	if (percent < 100 && percent > 99)
		percent = 99;
	snprintf(ret, FORMAT_MAX, "%.0f%%", percent);
	return ret;
}

const char *format_hz(double hz, char ret[FORMAT_MAX])
{
	if (isnan(hz))
		return format_unknown(ret);
	if (hz >= 9999.5)
		snprintf(ret, FORMAT_MAX, "%.1fk", hz / 1000);
	else
		snprintf(ret, FORMAT_MAX, hz >= 999.5 || hz == floor(hz) ? "%.0f" : "%.1f", hz);
	return ret;
}

const char *format_clock(uint64_t ns, char ret[FORMAT_MAX])
{
	unsigned long long s = ns / 1000000000ull;

	if (s < 3600)
		snprintf(ret, FORMAT_MAX, "%02llu:%02llu", s / 60, s % 60);
	else if (s < 86400)
		snprintf(ret, FORMAT_MAX, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(ret, FORMAT_MAX, "%llud %02llu:%02llu", s / 86400, s / 3600 % 24, s / 60 % 60);
	return ret;
}

const char *format_duration(uint64_t ns, char ret[FORMAT_MAX])
{
	double s = (double)ns / 1e9;

	if (ns < 1000)
		snprintf(ret, FORMAT_MAX, "%llu ns", (unsigned long long)ns);
	else if (s < 999.5e-6)
		snprintf(ret, FORMAT_MAX, "%.0f us", s * 1e6);
	else if (s < 0.9995)
		snprintf(ret, FORMAT_MAX, "%.0f ms", s * 1e3);
	else if (s < 9.995)
		snprintf(ret, FORMAT_MAX, "%.2f s", s);
	else if (s < 99.95)
		snprintf(ret, FORMAT_MAX, "%.1f s", s);
	else if (s < 5400)
		snprintf(ret, FORMAT_MAX, "%.0f min", s / 60);
	else
		snprintf(ret, FORMAT_MAX, "%.1f h", s / 3600);
	return ret;
}
