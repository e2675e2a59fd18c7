#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/screen.h"

#include <stdio.h>
#include <string.h>

static struct profile *profile;

int main(void)
{
	struct screen *s;
	struct error *e = fixture_profile_create(&profile);
	if (e) { puts(error_get_message(e)); return 1; }
	s = screen_create_view(&view_flame, profile, 100, 30);
	puts(screen_text(s));
	screen_press(s, "jjjlH");
	screen_resize(s, 80, 24);
	puts(screen_text(s));
	screen_resize(s, 60, 20);
	puts(screen_text(s));
	screen_press(s, "kk<Enter>o");
	puts(screen_text(s));
	screen_press(s, "i=");
	screen_resize(s, 100, 30);
	puts(screen_text(s));
	screen_destroy(s);
}
