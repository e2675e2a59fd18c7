#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct error {
	enum error_code code;
	int saved_errno;
	char *message;
	char *hint;
};

static struct error out_of_memory = {
	.code = ERROR_GENERAL,
	.saved_errno = 12,
	.message = (char *)"out of memory",
	.hint = NULL,
};

struct error *error_create(enum error_code code, int saved_errno, const char *hint, const char *format, ...)
{
	struct error *error = calloc(1, sizeof(*error));
	char *text = NULL;
	va_list args;

	if (!error)
		return &out_of_memory;
	error->code = code;
	error->saved_errno = saved_errno;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (text && saved_errno) {
		if (asprintf(&error->message, "%s: %s", text, strerror(saved_errno)) < 0)
			error->message = NULL;
		free(text);
	} else {
		error->message = text;
	}
	if (hint)
		error->hint = strdup(hint);
	if (!error->message) {
		error_destroy(error);
		return &out_of_memory;
	}
	return error;
}

void error_destroy(struct error *error)
{
	if (!error || error == &out_of_memory)
		return;
	free(error->message);
	free(error->hint);
	free(error);
}

struct error *error_wrap(struct error *error, const char *format, ...)
{
	char *context = NULL, *message = NULL;
	va_list args;

	if (!error || error == &out_of_memory)
		return error;
	va_start(args, format);
	if (vasprintf(&context, format, args) < 0)
		context = NULL;
	va_end(args);
	if (context && asprintf(&message, "%s: %s", context, error->message) >= 0) {
		free(error->message);
		error->message = message;
	}
	free(context);
	return error;
}

struct error *error_set_hint(struct error *error, const char *hint)
{
	if (error && error != &out_of_memory && !error->hint && hint)
		error->hint = strdup(hint);
	return error;
}

enum error_code error_get_code(const struct error *error)
{
	return error->code;
}

int error_get_errno(const struct error *error)
{
	return error->saved_errno;
}

const char *error_get_message(const struct error *error)
{
	return error->message;
}

const char *error_get_hint(const struct error *error)
{
	return error->hint;
}
