#include "tests/support/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

void cleanup_profile(struct profile **profile)
{
	profile_destroy(*profile);
}

void cleanup_json(json_t **json)
{
	json_decref(*json);
}

void assert_no_error(struct error *error)
{
	if (error)
		fail_msg("%s", error_get_message(error));
}

char *write_report(struct profile *profile, struct report_options options)
{
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	assert_non_null(stream);
	assert_no_error(report_write(profile, &options, stream));
	fclose(stream);
	assert_int_equal(strlen(text), size);
	assert_int_equal(text[size - 1], '\n');
	return text;
}

json_t *parse_report(struct profile *profile, struct report_options options)
{
	_cleanup_free_ char *text = NULL;
	json_error_t error;
	json_t *json;

	options.format = REPORT_JSON;
	text = write_report(profile, options);
	json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		fail_msg("%s at %d: %.200s", error.text, error.position, text);
	return json;
}

json_t *get(json_t *json, const char *field)
{
	char name[64];

	for (const char *at = field; *at;) {
		size_t length = strcspn(at, ".");

		snprintf(name, sizeof(name), "%.*s", (int)length, at);
		json = json_object_get(json, name);
		if (!json)
			fail_msg("there is no %s", field);
		at += length + (at[length] == '.');
	}
	return json;
}

int64_t get_count(json_t *json, const char *field)
{
	json_t *value = get(json, field);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

double get_real(json_t *json, const char *field)
{
	json_t *value = get(json, field);

	if (!json_is_real(value))
		fail_msg("%s is no number", field);
	return json_real_value(value);
}

const char *get_text(json_t *json, const char *field)
{
	json_t *value = get(json, field);

	assert_true(json_is_string(value));
	return json_string_value(value);
}

void assert_keys(json_t *json, const char *expected)
{
	char keys[512] = "";
	const char *key;
	json_t *value;

	assert_true(json_is_object(json));
	json_object_foreach(json, key, value)
	{
		strcat(keys, *keys ? " " : "");
		strcat(keys, key);
	}
	assert_string_equal(keys, expected);
}

size_t get_widest(const char *text)
{
	size_t widest = 0, width = 0;

	for (size_t i = 0; text[i]; i++) {
		width += (text[i] & 0xc0) != 0x80;
		if (text[i] == '\n') {
			widest = width - 1 > widest ? width - 1 : widest;
			width = 0;
		}
	}
	return widest;
}

void assert_contains(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}
