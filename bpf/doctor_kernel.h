/* The doctor's checks of kernel and machine, each by trying; and what a check is. Only for doctor.c. */
#ifndef KILN_BPF_DOCTOR_KERNEL_H
#define KILN_BPF_DOCTOR_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

enum finding_answer { ANSWER_YES, ANSWER_PART, ANSWER_NO };
enum finding_cause { CAUSE_NONE, CAUSE_RIGHTS, CAUSE_MACHINE };

struct finding {
	enum finding_answer answer;
	enum finding_cause cause; /* of an answer other than yes: what would have to change */
	char reason[256];
};

struct check {
	const char *name;
	bool is_required; /* by CPU profiling */
	void (*run)(struct finding *ret);
};

void finding_set(struct finding *finding, enum finding_answer answer, enum finding_cause cause,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));

void doctor_silence_libbpf(void);
void doctor_check_architecture(struct finding *ret);
void doctor_check_btf(struct finding *ret);
void doctor_check_programs(struct finding *ret);
void doctor_check_ring_buffer(struct finding *ret);
void doctor_check_loop(struct finding *ret);
void doctor_check_tracepoints(struct finding *ret);
void doctor_check_cpu_clock(struct finding *ret);
void doctor_check_cycles(struct finding *ret);
void doctor_check_heap(struct finding *ret); /* CPU profiling does not need it */
/* Makes an array map of this size; 0 or errno. */
int doctor_try_map(size_t bytes);

#endif
