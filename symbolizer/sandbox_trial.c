/* The sandbox, tried and told: a line of `kiln doctor`. */
#include "symbolizer/sandbox.h"

#include "base/cleanup.h"
#include "symbolizer/sandbox_layers.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Two lists: what holds, and what does not, with the reason behind the last of those that have it in common.
 */
struct roll {
	FILE *has, *has_not;
	unsigned missing;
	int why; /* of the last one that is missing */
};

static void call_layer(struct roll *roll, const char *name, bool is_held, int why)
{
	if (is_held) {
		fprintf(roll->has, ", %s", name);
		return;
	}
	if (roll->missing && why != roll->why)
		fprintf(roll->has_not, " (%s)", strerror(roll->why));
	fprintf(roll->has_not, "%s%s", roll->missing ? ", " : "; not: ", name);
	roll->why = why;
	roll->missing++;
}

static void call_layers(struct roll *roll, const struct sandbox_layers *layers)
{
	char name[32] = "Landlock";

	if (layers->landlock > 0)
		snprintf(name, sizeof(name), "Landlock %d", layers->landlock);
	fputs("no capability, few system calls", roll->has);
	call_layer(roll, name, layers->landlock > 0, -layers->landlock);
	for (enum namespace_kind kind = 0; kind < NAMESPACE_KINDS; kind++) {
		snprintf(name, sizeof(name), "%s%s", namespaces_get_name(kind),
			 kind == NAMESPACE_ROOT ? "" : " namespace");
		call_layer(roll, name, layers->namespaces->is_own[kind], layers->namespaces->why[kind]);
	}
	if (roll->missing)
		fprintf(roll->has_not, " (%s)", strerror(roll->why));
}

static int send_text(int fd, const char *text)
{
	struct iovec part = {(void *)text, strlen(text)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0;
}

int sandbox_trial_main(int probe_fd, int kiln_fd)
{
	struct sandbox_layers layers;
	_cleanup_error_ struct error *error = sandbox_enter_layers(&layers);
	char has[512] = "", has_not[512] = "", text[1100];
	struct roll roll = {.has = fmemopen(has, sizeof(has), "w"),
			    .has_not = fmemopen(has_not, sizeof(has_not), "w")};

	if (!roll.has || !roll.has_not)
		return 1;
	if (!error)
		call_layers(&roll, &layers);
	fclose(roll.has);
	fclose(roll.has_not);
	if (error)
		snprintf(text, sizeof(text), "no: %s", error_get_message(error));
	else
		snprintf(text, sizeof(text), "%s: %s%s", roll.missing ? "part" : "yes", has, has_not);
	return send_text(probe_fd, text);
}
