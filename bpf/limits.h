/* What the programs and their loader agree upon beyond the formats of events.h and table.h: data only. */
#ifndef KILN_BPF_LIMITS_H
#define KILN_BPF_LIMITS_H

/* Inner arrays must have exactly the flags of their template. The walker only reads them. */
#define INNER_MAP_FLAGS (BPF_F_INNER_MAP | BPF_F_MMAPABLE | BPF_F_RDONLY_PROG)

/* Halvings of the search among the mappings; vm.max_map_count is 65,530 by default. */
#define MAPPING_SEARCH_STEPS 17
#define MAPPINGS_MAX	     ((1u << MAPPING_SEARCH_STEPS) - 1)

/* Scratch slots a CPU: a perf event can interrupt another program of ours, which may have been interrupted
 * itself. */
#define SCRATCH_SLOTS 3

#endif
