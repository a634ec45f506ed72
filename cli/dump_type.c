// SPDX-License-Identifier: LGPL-2.1-or-later
// The words of dump_type.h and Windows' flags.
#include "dump_type.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <dbghelp.h>

static const struct word {
	const char *text;
	uint32_t flags;
} words[] = {
	{ "normal", MiniDumpNormal },
	{ "data", MiniDumpWithDataSegs },
	{ "code", MiniDumpWithCodeSegs },
	{ "private", MiniDumpWithPrivateReadWriteMemory },
	{ "copied", MiniDumpWithPrivateWriteCopyMemory },
	{ "full", MiniDumpWithFullMemory },
	{ "references", MiniDumpWithIndirectlyReferencedMemory },
	{ "headers", MiniDumpWithModuleHeaders },
	{ "handles", MiniDumpWithHandleData },
	{ "regions", MiniDumpWithFullMemoryInfo },
	{ "threads", MiniDumpWithThreadInfo },
	{ "process", MiniDumpWithProcessThreadData },
	{ "short-paths", MiniDumpFilterModulePaths },
	{ "windows-only", MiniDumpWithoutOptionalData },
};

uint32_t pss_dump_type_default(void)
{
	return MiniDumpWithModuleHeaders | MiniDumpWithHandleData | MiniDumpWithFullMemoryInfo |
	       MiniDumpWithThreadInfo;
}

static bool parse_number(const char *text, uint32_t *ret)
{
	char *end = NULL;

	if (strncmp(text, "0x", 2) != 0 || !isxdigit((unsigned char)text[2]))
		return false;
	errno = 0;
	unsigned long long value = strtoull(text, &end, 16);
	if (*end != '\0' || errno != 0 || value & ~(unsigned long long)MiniDumpValidTypeFlags)
		return false;
	*ret = (uint32_t)value;
	return true;
}

static bool find_word(const char *text, size_t size, uint32_t *flags)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i].text) == size && memcmp(words[i].text, text, size) == 0) {
			*flags |= words[i].flags;
			return true;
		}
	return false;
}

bool pss_dump_type_parse(const char *text, void *field)
{
	struct pss_dump_type *type = field;

	*type = (struct pss_dump_type){ .is_set = true };
	if (parse_number(text, &type->flags))
		return true;
	for (;;) {
		size_t size = strcspn(text, ",");

		if (!find_word(text, size, &type->flags))
			return false;
		if (text[size] == '\0')
			return true;
		text += size + 1;
	}
}
