/* A worker that does what the test wants: the process's side. */
#include "tests/support/puppets.h"

#include "base/cleanup.h"
#include "bpf/events.h"
#include "bpf/heap_events.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

struct packet {
	uint32_t type, reserved;
	union {
		struct module_message module;
		struct build_message build;
		struct table_message table;
	};
};

static void answer(int fd, uint32_t module, uint32_t status, const char *why, bool with_table, size_t length)
{
	struct packet packet = {
		.type = SYMBOLIZER_TABLE,
		.table = {.module = module,
			  .status = status,
			  .build_id_length = module == SAYS_LONG_BUILD_ID ? BUILD_ID_MAX + 1 : 20,
			  .build_id = "of them all"},
	};
	struct iovec part = {&packet, 8 + length};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	memcpy(packet.table.why, why, strlen(why));
	if (with_table) {
		int memfd = memfd_create("table", MFD_CLOEXEC);
		struct cmsghdr *cmsg;

		header.msg_control = control.bytes;
		header.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &memfd, sizeof(int));
	}
	while (sendmsg(fd, &header, 0) < 0 && errno == EAGAIN)
		;
}

/* What a worker may say, spoiled as the module wants it. */
static void propose(int fd, uint32_t module)
{
	static struct {
		uint32_t type, reserved;
		struct hooks_message hooks;
		struct hook_proposal proposals[HOOK_PROPOSALS_MAX + 1];
	} packet;
	uint32_t count = module == PROPOSES_GO || module == PROPOSES_NOTHING ? 0
			 : module == PROPOSES_MOST			     ? HOOK_PROPOSALS_MAX
			 : module == PROPOSES_TOO_MANY			     ? HOOK_PROPOSALS_MAX + 1
									     : 2;
	size_t length = 8 + sizeof(packet.hooks) + count * sizeof(packet.proposals[0]);

	packet.type = SYMBOLIZER_HOOKS;
	packet.hooks = (struct hooks_message){
		.module = module == PROPOSES_FOR_ANOTHER ? GOOD : module,
		.count = count,
		.is_go = module == PROPOSES_GO ? 77 : 0,
		.reserved = 5,
	};
	for (uint32_t i = 0; i < count; i++)
		packet.proposals[i] = (struct hook_proposal){.start = i * 0x100,
							     .length = 0x80,
							     .kind = i ? HEAP_FREE : 0,
							     .flags = i ? 0 : HOOK_WRAPPER,
							     .name = "operator\033new"};
	if (module == PROPOSES)
		memset(packet.proposals[1].name, 'x', sizeof(packet.proposals[1].name));
	packet.proposals[0].kind = module == PROPOSES_KIND_OF_WRAPPER ? HEAP_MALLOC : 0;
	packet.proposals[1].kind = module == PROPOSES_WITHOUT_KIND   ? 0
				   : module == PROPOSES_UNKNOWN_KIND ? HEAP_KINDS
								     : HEAP_FREE;
	packet.proposals[0].flags = module == PROPOSES_BOTH_FLAGS ? HOOK_WRAPPER | HOOK_LIES : HOOK_WRAPPER;
	packet.proposals[1].flags = module == PROPOSES_UNKNOWN_FLAG ? 8
				    : module == PROPOSES_MOST	    ? HOOK_THROWS
								    : HOOK_LIES;
	if (module == PROPOSES_WITHOUT_NAME)
		packet.proposals[1].name[0] = '\0';
	if (module == PROPOSES_ENDLESS)
		packet.proposals[1].start = UINT64_MAX - 0x7f;
	if (module == PROPOSES_WITHOUT_HEADER)
		length = 8 + sizeof(packet.hooks) - 1;
	length += module == PROPOSES_TOO_LONG ? 8 : module == PROPOSES_TOO_SHORT ? -8 : 0;
	while (send(fd, &packet, length, 0) < 0 && errno == EAGAIN)
		;
}

static void wait_for_others(void)
{
	__atomic_add_fetch(&puppets_shared->together, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&puppets_shared->together, __ATOMIC_SEQ_CST) < 3)
		sched_yield();
}

static void wait_for_release(void)
{
	while (!__atomic_load_n(&puppets_shared->is_released, __ATOMIC_SEQ_CST))
		sched_yield();
}

static void build(int fd, const struct build_message *message)
{
	size_t whole = sizeof(struct table_message);
	uint32_t module = message->module;
	unsigned number = ++puppets_shared->builds[module];

	if (message->build_id_length == 20 && !strcmp((const char *)message->build_id, "of them all")) {
		puppets_shared->offers[module]++;
		answer(fd, module, TABLE_SAME, "", false, whole);
		return;
	}
	if (module >= PROPOSES && module != PROPOSES_AFTER_TABLE)
		propose(fd, module);
	switch (module) {
	case PROPOSES_TWICE:
		propose(fd, module);
		break;
	case PROPOSES_AFTER_TABLE:
		answer(fd, module, TABLE_OK, "", true, whole);
		propose(fd, module);
		return;
	case PROPOSES_AND_CRASHES_ONCE:
	case CRASHES_ONCE:
		if (number > 1) {
			answer(fd, module, TABLE_OK, "", true, whole);
			return;
		}
		/* fall through */
	case CRASHES:
		_exit(3);
	case WAITS_FOR_TWO_MORE:
	case WAITS_FOR_TWO_MORE_B:
	case WAITS_FOR_TWO_MORE_C:
		wait_for_others();
		break;
	case WAITS:
		wait_for_release();
		break;
	case SAYS_SAME_UNASKED:
		answer(fd, module, TABLE_SAME, "", false, whole);
		return;
	case CLOSES_AND_LIVES_ON:
		close(fd);
		/* fall through */
	case HANGS:
		for (;;)
			pause();
	case ANSWERS_FOR_ANOTHER:
		answer(fd, GOOD, TABLE_OK, "", true, whole);
		return;
	case ANSWERS_TOO_SHORT:
		answer(fd, module, TABLE_OK, "", true, whole - 1);
		return;
	case SAYS_WHY_WITH_ESCAPES:
		answer(fd, module, TABLE_BAD, "\033[2J\nno\x9b", false, whole);
		return;
	case OK_WITHOUT_TABLE:
		answer(fd, module, TABLE_OK, "", false, whole);
		return;
	case BABBLES:
		answer(fd, module, TABLE_OK, "", true, whole);
		for (;;)
			answer(fd, module, TABLE_OK, "", true, whole);
	default:
		break;
	}
	answer(fd, module, TABLE_OK, "", true, whole);
}

/* Blocking reads of a socket that does not block: the test's worker has nothing else to do. */
int puppet_main(int probe_fd, int kiln_fd)
{
	struct packet packet;
	ssize_t length;

	fcntl(probe_fd, F_SETFL, 0);
	if (kiln_fd >= 0) {
		puppets_shared->names_starts++;
		puppets_shared->names_modules = 0;
		if (puppets_shared->names_die)
			_exit(3);
		if (puppets_shared->names_proposes && puppets_shared->names_starts == 1)
			propose(probe_fd, HANGS);
		if (puppets_shared->names_babbles && puppets_shared->names_starts == 1)
			answer(probe_fd, GOOD, TABLE_OK, "", true, sizeof(struct table_message));
	}
	while ((length = recv(probe_fd, &packet, sizeof(packet), 0)) > 0) {
		if (packet.type == SYMBOLIZER_MODULE && kiln_fd >= 0)
			puppets_shared->names_modules++;
		if (packet.type == SYMBOLIZER_BUILD)
			build(probe_fd, &packet.build);
	}
	return 0;
}
