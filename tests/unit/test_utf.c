// SPDX-License-Identifier: LGPL-2.1-or-later
// UTF-8 to UTF-16 and back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "utf.h"

enum { ROOM = 64 };

static void check_to_utf16(const char *source, size_t size, const char16_t *expected)
{
	char16_t out[ROOM];
	size_t length = 0;

	while (expected[length])
		length++;
	assert_int_equal(pss_utf_to_utf16(source, size, out, ROOM), length);
	assert_memory_equal(out, expected, (length + 1) * sizeof out[0]);
}

#define CHECK_TO_UTF16(source, expected) check_to_utf16(source, sizeof(source) - 1, expected)

static void test_valid_text_of_every_length(void **state)
{
	(void)state;
	CHECK_TO_UTF16("", u"");
	CHECK_TO_UTF16("/bin/sh", u"/bin/sh");
	CHECK_TO_UTF16("\xc3\xa4\xe2\x82\xac", u"\u00e4\u20ac");
	CHECK_TO_UTF16("\xf0\x9f\x98\x80", u"\U0001F600");
	CHECK_TO_UTF16("\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80", u"\U0010FFFF\uD7FF\uE000");
}

static void test_each_ill_formed_piece_becomes_one_replacement(void **state)
{
	(void)state;
	CHECK_TO_UTF16("a\xff"
		       "b",
		       u"a\uFFFD"
		       u"b");
	CHECK_TO_UTF16("\x80\x80", u"\uFFFD\uFFFD");
	CHECK_TO_UTF16("\xc0\xaf", u"\uFFFD\uFFFD");           // overlong
	CHECK_TO_UTF16("\xed\xa0\x80", u"\uFFFD\uFFFD\uFFFD"); // a surrogate
	CHECK_TO_UTF16("\xf4\x90\x80\x80", u"\uFFFD\uFFFD\uFFFD\uFFFD");
	CHECK_TO_UTF16("\xe2\x82", u"\uFFFD"); // cut off at the end
	CHECK_TO_UTF16("\xe2\x82"
		       "A",
		       u"\uFFFD"
		       u"A");
	CHECK_TO_UTF16("\xf0\x9f\x98\xc3\xa4", u"\uFFFD\u00e4");
}

static void test_surrogate_pair_is_never_cut(void **state)
{
	char16_t out[8];

	(void)state;
	for (size_t room = 0; room <= 4; room++) {
		memset(out, 0x7e, sizeof out);
		assert_int_equal(pss_utf_to_utf16("a\xf0\x9f\x98\x80", 5, out, room), 3);
		// What is beyond the room stays as it was.
		assert_int_equal(out[room], 0x7e7e);
		if (room >= 1)
			assert_int_equal(out[room >= 4 ? 3 : room >= 2 ? 1 : 0], 0);
	}
	// Room for the first half only, and then for a later, shorter character: neither is
	// written.
	memset(out, 0x7e, sizeof out);
	assert_int_equal(pss_utf_to_utf16("\xf0\x9f\x98\x80"
					  "b",
					  5, out, 2),
			 3);
	assert_int_equal(out[0], 0);
}

static void test_utf16_to_utf8(void **state)
{
	static const char16_t text[] = u"a\u00e4\u20ac\U0001F600";
	static const char16_t broken[] = { 0xD83D, 'x', 0xDE00, 0xD83D };
	char out[ROOM];

	(void)state;
	assert_int_equal(pss_utf_to_utf8(text, 5, out, sizeof out), 10);
	assert_string_equal(out, "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	assert_int_equal(pss_utf_to_utf8(broken, 4, out, sizeof out), 10);
	assert_string_equal(out, "\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd");
	assert_int_equal(pss_utf_to_utf8(text, 5, out, 6), 10);
	assert_string_equal(out, "a\xc3\xa4");
	assert_int_equal(pss_utf_to_utf8(text, 5, NULL, 0), 10);
}

static void test_every_character_survives_the_round_trip(void **state)
{
	(void)state;
	for (uint32_t c = 1; c <= 0x10FFFF; c++) {
		char16_t units[2] = { (char16_t)c, 0 };
		char16_t back[3];
		char bytes[5];

		if (c >= 0xD800 && c <= 0xDFFF)
			continue;
		if (c > 0xFFFF) {
			units[0] = (char16_t)(0xD800 + ((c - 0x10000) >> 10));
			units[1] = (char16_t)(0xDC00 + (c & 0x3FF));
		}
		size_t length = c > 0xFFFF ? 2 : 1;
		size_t size = pss_utf_to_utf8(units, length, bytes, sizeof bytes);
		assert_int_equal(pss_utf_to_utf16(bytes, size, back, 3), length);
		assert_memory_equal(back, units, length * sizeof units[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid_text_of_every_length),
		cmocka_unit_test(test_each_ill_formed_piece_becomes_one_replacement),
		cmocka_unit_test(test_surrogate_pair_is_never_cut),
		cmocka_unit_test(test_utf16_to_utf8),
		cmocka_unit_test(test_every_character_survives_the_round_trip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
