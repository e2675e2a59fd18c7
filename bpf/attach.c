#include "bpf/attach.h"

#include "base/array.h"
#include "base/cleanup.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct sampler {
	ARRAY(int)
	events; /* one a CPU */
	ARRAY(int)
	cpus;
	enum sampler_clock clock;
};

static void sampler_close_events(struct sampler *sampler)
{
	for (size_t i = 0; i < sampler->events.count; i++)
		close(sampler->events.items[i]);
	sampler->events.count = 0;
}

void sampler_destroy(struct sampler *sampler)
{
	if (!sampler)
		return;
	sampler_close_events(sampler);
	array_deinit(&sampler->events);
	array_deinit(&sampler->cpus);
	free(sampler);
}

static void cleanup_sampler(struct sampler **sampler)
{
	sampler_destroy(*sampler);
}

/* "0-3,8,10-11" */
static struct error *sampler_read_cpus(struct sampler *sampler)
{
	static const char path[] = "/sys/devices/system/cpu/online";
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	unsigned from, to;
	int separator;

	if (!file)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot open %s", path);
	while (fscanf(file, "%u", &from) == 1) {
		to = from;
		separator = fgetc(file);
		if (separator == '-') {
			if (fscanf(file, "%u", &to) != 1)
				break;
			separator = fgetc(file);
		}
		for (unsigned cpu = from; cpu <= to; cpu++)
			if (!array_append(&sampler->cpus, (int)cpu))
				return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot list the CPUs");
		if (separator != ',')
			break;
	}
	if (!sampler->cpus.count)
		return error_create(ERROR_GENERAL, 0, NULL, "%s lists no CPU", path);
	return NULL;
}

static int event_open(const struct sampler_options *options, enum sampler_clock clock, int cpu)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = clock == SAMPLER_CYCLES ? PERF_TYPE_HARDWARE : PERF_TYPE_SOFTWARE,
		.config = clock == SAMPLER_CYCLES ? PERF_COUNT_HW_CPU_CYCLES : PERF_COUNT_SW_CPU_CLOCK,
		.freq = 1,
		.sample_freq = options->hz,
		.disabled = 1,
		.exclude_idle = 1,
		.exclude_user = !options->wants_user,
		.exclude_kernel = !options->wants_kernel,
		.exclude_hv = !options->wants_kernel,
	};

	return (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

/* 0, or the errno of the first CPU that refused. */
static int sampler_open_events(struct sampler *sampler, const struct sampler_options *options,
			       enum sampler_clock clock)
{
	for (size_t i = 0; i < sampler->cpus.count; i++) {
		int fd = event_open(options, clock, sampler->cpus.items[i]);

		if (fd < 0)
			return errno;
		if (!array_append(&sampler->events, fd)) {
			close(fd);
			return ENOMEM;
		}
	}
	sampler->clock = clock;
	return 0;
}

static struct error *sampler_refuse(int saved_errno, unsigned hz)
{
	switch (saved_errno) {
	case EPERM:
	case EACCES:
		return error_create(ERROR_PERMISSION, saved_errno, "run kiln as root, or give it CAP_PERFMON",
				    "cannot open a perf event on a CPU");
	case EINVAL:
		return error_create(ERROR_UNSUPPORTED, saved_errno,
				    "see /proc/sys/kernel/perf_event_max_sample_rate",
				    "the kernel does not sample at %u Hz", hz);
	case EMFILE:
	case ENFILE:
		return error_create(ERROR_GENERAL, saved_errno, "raise the limit of open files (ulimit -n)",
				    "cannot open a perf event on each CPU");
	case ENOENT:
	case ENOSYS:
	case EOPNOTSUPP:
		return error_create(ERROR_UNSUPPORTED, saved_errno, NULL,
				    "the kernel has no clock to sample with");
	default:
		return error_create(ERROR_GENERAL, saved_errno, NULL, "cannot open a perf event on each CPU");
	}
}

struct error *sampler_create(const struct sampler_options *options, int program_fd, struct sampler **ret)
{
	_cleanup_(cleanup_sampler) struct sampler *sampler = calloc(1, sizeof(*sampler));
	struct error *error;
	int saved_errno;

	if (!sampler)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot open perf events");
	error = sampler_read_cpus(sampler);
	if (error)
		return error;
	/* Whatever is wrong with cycles (no counters in this machine, or not on every CPU, or all of them
	 * taken by another profiler), the timer is there. */
	if (sampler_open_events(sampler, options, SAMPLER_CYCLES) != 0) {
		sampler_close_events(sampler);
		saved_errno = sampler_open_events(sampler, options, SAMPLER_CPU_CLOCK);
		if (saved_errno)
			return sampler_refuse(saved_errno, options->hz);
	}
	for (size_t i = 0; i < sampler->events.count; i++)
		if (ioctl(sampler->events.items[i], PERF_EVENT_IOC_SET_BPF, program_fd))
			return error_create(ERROR_GENERAL, errno, NULL,
					    "cannot attach the program to the clock of CPU %d",
					    sampler->cpus.items[i]);
	*ret = take_ptr(sampler);
	return NULL;
}

static struct error *sampler_tell(struct sampler *sampler, unsigned long request, const char *what)
{
	for (size_t i = 0; i < sampler->events.count; i++)
		if (ioctl(sampler->events.items[i], request, 0))
			return error_create(ERROR_GENERAL, errno, NULL, "cannot %s the clock of CPU %d", what,
					    sampler->cpus.items[i]);
	return NULL;
}

struct error *sampler_enable(struct sampler *sampler)
{
	return sampler_tell(sampler, PERF_EVENT_IOC_ENABLE, "start");
}

struct error *sampler_disable(struct sampler *sampler)
{
	return sampler_tell(sampler, PERF_EVENT_IOC_DISABLE, "stop");
}

enum sampler_clock sampler_get_clock(const struct sampler *sampler)
{
	return sampler->clock;
}

unsigned sampler_get_cpu_count(const struct sampler *sampler)
{
	return (unsigned)sampler->events.count;
}
