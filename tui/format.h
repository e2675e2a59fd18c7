/* Numbers as people read them: counts, shares with their uncertainty, times, bytes.
 *
 * Every function writes into the caller's buffer of FORMAT_MAX bytes and returns it, so that several can
 * stand in one printf. What is not known (NAN, a share of nothing) is "-", never 0.
 */
#ifndef KILN_TUI_FORMAT_H
#define KILN_TUI_FORMAT_H

#include <stdint.h>

#define FORMAT_MAX 40

const char *format_count(uint64_t count, char ret[FORMAT_MAX]); /* 12,402 */
const char *format_short(uint64_t count, char ret[FORMAT_MAX]); /* 999  12.4k  3.0M: at most 5 cells */
/* part of whole in percent with one decimal: "24.1%". */
const char *format_share(uint64_t part, uint64_t whole, char ret[FORMAT_MAX]);
/* "±0.8": half width of its 95 % interval in points. */
const char *format_interval(uint64_t part, uint64_t whole, char ret[FORMAT_MAX]);
const char *format_percent(double percent, char ret[FORMAT_MAX]);	/* 99.2%, 100%; NAN: - */
const char *format_whole_percent(double percent, char ret[FORMAT_MAX]); /* 98%, and 99% for 99.9 */
const char *format_hz(double hz, char ret[FORMAT_MAX]);			/* 98.7  999  10.0k */
/* Since the attach: 01:32, 1:02:03, 3d 04:11. */
const char *format_clock(uint64_t ns, char ret[FORMAT_MAX]);
/* How long something takes: 850 ns, 12 ms, 2.10 s, 5 min, 3 h. */
const char *format_duration(uint64_t ns, char ret[FORMAT_MAX]);
const char *format_bytes(uint64_t bytes, char ret[FORMAT_MAX]); /* IEC: 512K, 1.2G */

/* Half width of the 95 % interval (Wilson's) of part/whole, 0 to 1; NAN when whole is 0. Unlike the
 * textbook's p ± 1.96·√(p(1-p)/n) it is not 0 for shares of 0 and 100 %: a few samples never look exact. */
double share_interval(uint64_t part, uint64_t whole);

#endif
