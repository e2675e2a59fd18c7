/* The log of samples: 16 bytes each, in the order of arrival; what is old is folded, so that memory stays
 * flat.
 *
 * Levels: samples as they came; then one entry for each (second, stack, mode); then 16 s, 256 s, 4096 s
 * instead of the second. A level over its limit hands its oldest group down, one group for each sample that
 * comes in: no sample ever pays for more than one group of each level. Limits: 262,144 samples as they came
 * (44 minutes of one busy CPU at 99 Hz; 4 MiB), 65,536 entries of each other level (1 MiB). Only the last
 * level grows with the session: by at most twice the number of distinct stacks in 68 minutes. A folded entry
 * has the time of its first sample, and no thread and CPU.
 */
#ifndef KILN_PROFILE_LOG_H
#define KILN_PROFILE_LOG_H

#include "base/array.h"
#include "profile/index.h"
#include "profile/profile.h"

#define LOG_LEVELS 5

struct log_chunk;

struct log_level {
	ARRAY(struct log_chunk *)
	chunks;
	size_t head; /* entries of the first chunk that are gone */
	size_t count;
	size_t limit;
	uint64_t granule_ns; /* 0: not folded */
};

struct sample_log {
	struct log_level levels[LOG_LEVELS]; /* the newest first */
	struct index folding;		     /* scratch: (stack, mode, end) → entry of the group */
};

void log_init(struct sample_log *log);
void log_deinit(struct sample_log *log);
/* false when memory is short (nothing is added). count > 1: no thread and CPU are kept. */
bool log_append(struct sample_log *log, const struct log_entry *entry);
/* Stacks have new numbers: places[old]. */
void log_renumber(struct sample_log *log, const uint32_t *places);
size_t log_count(const struct sample_log *log);
struct log_entry log_get(const struct sample_log *log, size_t index);

#endif
