/* To be preloaded into kiln: its libbpf then answers as it does on a kernel before 5.17, which knows no
 * bpf_loop(): the programs are refused, and so is the probe for the helper. */
/* FLAGS: -shared -fPIC */
#include <errno.h>
#include <linux/bpf.h>

struct bpf_object_skeleton;

int bpf_object__load_skeleton(struct bpf_object_skeleton *skeleton);
int libbpf_probe_bpf_helper(enum bpf_prog_type type, enum bpf_func_id helper, const void *options);

int bpf_object__load_skeleton(struct bpf_object_skeleton *skeleton)
{
	errno = EINVAL;
	return skeleton ? -EINVAL : 0;
}

int libbpf_probe_bpf_helper(enum bpf_prog_type type, enum bpf_func_id helper, const void *options)
{
	return type != BPF_PROG_TYPE_PERF_EVENT || helper != BPF_FUNC_loop;
}
