#include "bpf/privileges.h"

#include "base/cleanup.h"
#include "base/namespaces.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY_ID	   65534	/* the kernel's overflow id: owns nothing by convention */
#define USER_NAMESPACE_INO 0xeffffffdu	/* PROC_USER_INIT_INO, include/linux/proc_ns.h */
#define WORKER_FILE_BYTES  (4ull << 30) /* a table's memfd counts as a file; no table comes near this */

const struct privilege privileges_wanted[] = {
	{CAP_BPF, "CAP_BPF", "loading the programs that take samples", true},
	{CAP_PERFMON, "CAP_PERFMON", "taking samples of other processes", true},
	{CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "reading the memory maps of other users' processes", false},
	{CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "reading programs that only their owner may read",
	 false},
	{CAP_CHECKPOINT_RESTORE, "CAP_CHECKPOINT_RESTORE", "opening deleted files and files in containers",
	 false},
	{CAP_SYSLOG, "CAP_SYSLOG", "reading the addresses of the kernel's functions", false},
	{0, NULL, NULL, false},
};

/* ---- what there is ---- */

static bool has_flag(cap_t set, cap_value_t capability, cap_flag_t flag)
{
	cap_flag_value_t value = CAP_CLEAR;

	return cap_get_flag(set, capability, flag, &value) == 0 && value == CAP_SET;
}

static bool is_covered_by_admin(cap_value_t capability)
{
	return capability == CAP_BPF || capability == CAP_PERFMON || capability == CAP_CHECKPOINT_RESTORE;
}

bool privileges_has(cap_value_t capability)
{
	cap_t set = cap_get_proc();
	bool has = set && (has_flag(set, capability, CAP_EFFECTIVE) ||
			   (is_covered_by_admin(capability) && has_flag(set, CAP_SYS_ADMIN, CAP_EFFECTIVE)));

	cap_free(set);
	return has;
}

bool privileges_are_namespaced(void)
{
	struct stat status;

	return stat("/proc/self/ns/user", &status) == 0 && status.st_ino != USER_NAMESPACE_INO;
}

static bool is_shell_safe(const char *word)
{
	return *word &&
	       !word[strspn(word,
			    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./:,@%")];
}

/* In single quotes; a quote inside is written '\''. */
static void print_quoted(FILE *stream, const char *word)
{
	if (is_shell_safe(word)) {
		fputs(word, stream);
		return;
	}
	fputc('\'', stream);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", stream);
		else
			fputc(*word, stream);
	}
	fputc('\'', stream);
}

char *privileges_format_command(char *const *argv)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	for (size_t i = 0; argv[i]; i++) {
		if (i)
			fputc(' ', stream);
		print_quoted(stream, argv[i]);
	}
	fclose(stream);
	return text;
}

static struct error *error_missing(const char *what, const char *names, const char *typed)
{
	_cleanup_free_ char *hint = NULL;

	if (geteuid() == 0)
		return error_create(ERROR_PERMISSION, 0,
				    "root has lost them here: a container wants --privileged, or "
				    "--cap-add=BPF,PERFMON,SYS_PTRACE,CHECKPOINT_RESTORE,SYSLOG",
				    "%s: no capability %s", what, names);
	if (asprintf(&hint, "run: sudo %s", typed) < 0)
		hint = NULL;
	return error_create(ERROR_PERMISSION, 0, hint, "%s: no capability %s", what, names);
}

struct error *privileges_check(const char *what, uid_t target_uid, const char *typed)
{
	char names[256] = "";
	size_t length = 0;

	for (const struct privilege *wanted = privileges_wanted; wanted->name; wanted++) {
		bool is_needed = wanted->is_required ||
				 (wanted->capability == CAP_SYS_PTRACE && target_uid != geteuid());

		if (is_needed && !privileges_has(wanted->capability))
			length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
						   length ? ", " : "", wanted->name);
	}
	if (length)
		return error_missing(what, names, typed);
	if (privileges_are_namespaced())
		return error_create(ERROR_PERMISSION, 0,
				    "run kiln outside the container, or start that without a user "
				    "namespace of its own",
				    "%s: the capabilities hold in this user namespace only", what);
	return NULL;
}

/* ---- whose ---- */

static bool parse_id(const char *text, unsigned *ret)
{
	unsigned long value;
	char *end;

	if (!text || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || value >= UINT_MAX) /* -1 means "no id" to the kernel */
		return false;
	*ret = (unsigned)value;
	return true;
}

/* The entry's strings live in buffer. */
static bool find_user(uid_t uid, struct passwd *entry, char *buffer, size_t capacity)
{
	struct passwd *found = NULL;

	return getpwuid_r(uid, entry, buffer, capacity, &found) == 0 && found;
}

struct error *privileges_find_invoker(uid_t *ret_uid, gid_t *ret_gid, char **ret_home)
{
	const char *own_home = getenv("HOME");
	unsigned uid, gid;
	struct passwd entry;
	char buffer[16384];
	bool is_sudo =
		getuid() == 0 && parse_id(getenv("SUDO_UID"), &uid) && parse_id(getenv("SUDO_GID"), &gid);
	char *home;

	if (!is_sudo) {
		uid = getuid();
		gid = getgid();
	}
	/* sudo's $HOME is root's or the user's, as it is set up: not to be relied on. */
	if (!is_sudo && own_home && own_home[0] == '/')
		home = strdup(own_home);
	else if (find_user(uid, &entry, buffer, sizeof(buffer)) && entry.pw_dir[0] == '/')
		home = strdup(entry.pw_dir);
	else
		home = strdup("/");
	if (!home)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "find the invoking user");
	*ret_uid = uid;
	*ret_gid = gid;
	*ret_home = home;
	return NULL;
}

/* ---- getting rid of them ---- */

static struct error *error_drop(const char *what)
{
	return error_create(ERROR_GENERAL, errno, NULL, "give up privileges: %s", what);
}

/* Sets permitted and effective to this set; inheritable and ambient to none. */
static struct error *set_capabilities(const cap_value_t *values, int count)
{
	cap_t set = cap_init();
	bool is_set = set &&
		      (count == 0 || (cap_set_flag(set, CAP_PERMITTED, count, values, CAP_SET) == 0 &&
				      cap_set_flag(set, CAP_EFFECTIVE, count, values, CAP_SET) == 0)) &&
		      cap_set_proc(set) == 0;

	cap_free(set);
	if (!is_set)
		return error_drop("capabilities");
	/* Lowering a permitted or inheritable capability lowers the ambient one (capabilities(7)): this is
	 * the belt. */
	if (cap_reset_ambient() < 0 && errno != EINVAL)
		return error_drop("ambient capabilities");
	return NULL;
}

static void append_permitted(cap_t have, cap_value_t capability, cap_value_t *values, int *count)
{
	if (has_flag(have, capability, CAP_PERMITTED))
		values[(*count)++] = capability;
}

struct error *privileges_keep_least(unsigned flags)
{
	static const cap_value_t forking[] = {CAP_SETUID, CAP_SETGID, CAP_SETPCAP, CAP_KILL};
	cap_value_t values[16];
	int count = 0;
	cap_t have = cap_get_proc();
	struct error *error;

	if (!have)
		return error_drop("read the capabilities");
	for (const struct privilege *wanted = privileges_wanted; wanted->name; wanted++)
		append_permitted(have, wanted->capability, values, &count);
	if (flags & PRIVILEGES_KEEP_FORKING)
		for (size_t i = 0; i < sizeof(forking) / sizeof(forking[0]); i++)
			append_permitted(have, forking[i], values, &count);
	if (flags & PRIVILEGES_KEEP_ADMIN || !has_flag(have, CAP_BPF, CAP_PERMITTED) ||
	    !has_flag(have, CAP_PERFMON, CAP_PERMITTED))
		append_permitted(have, CAP_SYS_ADMIN, values, &count);
	error = set_capabilities(values, count);
	cap_free(have);
	return error;
}

/* Best effort: needs CAP_SETPCAP, and with no_new_privs nothing comes back through it anyway. */
static void drop_bounding_set(void)
{
	for (cap_value_t capability = 0; CAP_IS_SUPPORTED(capability); capability++)
		cap_drop_bound(capability);
}

static bool has_ids(uid_t uid, gid_t gid)
{
	uid_t real_uid, effective_uid, saved_uid;
	gid_t real_gid, effective_gid, saved_gid;

	return getresuid(&real_uid, &effective_uid, &saved_uid) == 0 &&
	       getresgid(&real_gid, &effective_gid, &saved_gid) == 0 && real_uid == uid &&
	       effective_uid == uid && saved_uid == uid && real_gid == gid && effective_gid == gid &&
	       saved_gid == gid;
}

/* Groups, then group, then user: the other way round the right to do so would be gone. */
static struct error *set_ids(uid_t uid, gid_t gid, bool with_groups)
{
	struct passwd entry;
	char buffer[16384];
	bool is_known = with_groups && find_user(uid, &entry, buffer, sizeof(buffer));

	if (prctl(PR_SET_KEEPCAPS, 0) < 0)
		return error_drop("keepcaps");
	if (is_known ? initgroups(entry.pw_name, gid) < 0 : setgroups(0, NULL) < 0)
		return error_drop("groups");
	if (setresgid(gid, gid, gid) < 0)
		return error_drop("group");
	if (setresuid(uid, uid, uid) < 0)
		return error_drop("user");
	return has_ids(uid, gid) ? NULL
				 : error_create(ERROR_GENERAL, 0, NULL, "give up privileges: ids remain");
}

static struct error *change_ids(uid_t uid, gid_t gid, bool with_groups)
{
	bool may_change = privileges_has(CAP_SETUID) && privileges_has(CAP_SETGID);

	/* A root that works for root keeps its groups. */
	if (has_ids(uid, gid) && (!may_change || with_groups))
		return NULL;
	if (may_change)
		return set_ids(uid, gid, with_groups);
	/* A set-uid program would land here with another effective user: that one must not stay. */
	if (geteuid() != getuid() && setresuid(getuid(), getuid(), getuid()) < 0)
		return error_drop("user");
	return NULL;
}

static struct error *verify_empty(uid_t uid)
{
	cap_t have = cap_get_proc(), none = cap_init();
	bool is_empty = have && none && cap_compare(have, none) == 0;

	cap_free(have);
	cap_free(none);
	if (!is_empty)
		return error_create(ERROR_GENERAL, 0, NULL, "give up privileges: capabilities remain");
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return error_create(ERROR_GENERAL, 0, NULL,
				    "give up privileges: new ones could be had by exec");
	if (uid != 0 && setuid(0) == 0)
		return error_create(ERROR_GENERAL, 0, NULL, "give up privileges: root can be had again");
	return NULL;
}

static struct error *drop(uid_t uid, gid_t gid, bool with_groups)
{
	struct error *error;

	drop_bounding_set();
	error = change_ids(uid, gid, with_groups);
	if (!error)
		error = set_capabilities(NULL, 0);
	if (!error && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		error = error_drop("no_new_privs");
	return error ? error : verify_empty(getuid());
}

struct error *privileges_drop_to_user(uid_t uid, gid_t gid)
{
	return drop(uid, gid, true);
}

static void set_limit(int resource, rlim_t value)
{
	struct rlimit limit;

	/* Only ever downwards. */
	if (getrlimit(resource, &limit) < 0 || limit.rlim_max < value)
		return;
	limit.rlim_cur = limit.rlim_max = value;
	setrlimit(resource, &limit);
}

struct error *privileges_drop_to_nobody(void)
{
	struct error *error;

	/* Where only root may have namespaces of its own, this is the last moment for them. */
	namespaces_leave(NAMESPACES_BY_RIGHT);
	error = drop(NOBODY_ID, NOBODY_ID, false);
	if (error)
		return error;
	set_limit(RLIMIT_NPROC, 0);
	set_limit(RLIMIT_FSIZE, WORKER_FILE_BYTES);
	set_limit(RLIMIT_CORE, 0);
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return error_drop("dumpable");
	return NULL;
}

struct error *privileges_become_user(uid_t uid, gid_t gid)
{
	struct error *error = NULL;

	if (uid != 0 || !has_ids(uid, gid))
		error = change_ids(uid, gid, true);
	/* Programs of root have root's capabilities by their start; those of others none but what their files
	 * give. */
	if (!error && uid != 0)
		error = set_capabilities(NULL, 0);
	return error;
}
