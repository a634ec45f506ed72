// SPDX-License-Identifier: LGPL-2.1-or-later
// The buffer of minidump_layout.h.
#include "minidump_layout.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "utf.h"

void pss_minidump_layout_deinit(struct pss_minidump_layout *layout)
{
	pss_buf_deinit(&layout->bytes);
	pss_buf_deinit(&layout->fixups);
}

static RVA put(struct pss_minidump_layout *layout, const void *bytes, size_t size, size_t alignment)
{
	if (layout->error < 0)
		return 0;
	layout->error = pss_buf_align(&layout->bytes, alignment);
	if (layout->error == 0 && !pss_in_range(layout->bytes.size, size, layout->most))
		layout->error = -EFBIG;
	RVA at = (RVA)layout->bytes.size;
	if (layout->error == 0)
		layout->error = pss_buf_append(&layout->bytes, bytes, size);
	return layout->error < 0 ? 0 : at;
}

RVA pss_minidump_layout_put(struct pss_minidump_layout *layout, const void *bytes, size_t size)
{
	return put(layout, bytes, size, 4);
}

RVA pss_minidump_layout_put_aligned(struct pss_minidump_layout *layout, const void *bytes,
				    size_t size)
{
	return put(layout, bytes, size, 16);
}

void pss_minidump_layout_add(struct pss_minidump_layout *layout, const void *bytes, size_t size)
{
	(void)put(layout, bytes, size, 1);
}

// Of a text that is too long what comes before the character that does not fit.
static size_t cut(const char *text, size_t size)
{
	if (size <= PSS_MINIDUMP_TEXT_MOST)
		return size;
	size = PSS_MINIDUMP_TEXT_MOST;
	while (size > 0 && ((uint8_t)text[size] & 0xc0) == 0x80)
		size--;
	return size;
}

RVA pss_minidump_layout_put_text(struct pss_minidump_layout *layout, const char *text, size_t size)
{
	size = cut(text, size);
	size_t units = pss_utf_to_utf16(text, size, NULL, 0);
	const MINIDUMP_STRING head = { .Length = (ULONG32)(units * sizeof(WCHAR)) };
	RVA at = pss_minidump_layout_put(layout, &head, sizeof head);

	// The terminator is not counted, but there.
	RVA buffer = put(layout, NULL, (units + 1) * sizeof(WCHAR), 2);
	if (layout->error == 0)
		(void)pss_utf_to_utf16(text, size, (WCHAR *)(void *)(layout->bytes.data + buffer),
				       units + 1);
	return at;
}

void pss_minidump_layout_set(struct pss_minidump_layout *layout, RVA rva, const void *bytes,
			     size_t size)
{
	if (layout->error == 0 && pss_in_range(rva, size, layout->bytes.size))
		memcpy(layout->bytes.data + rva, bytes, size);
}

MINIDUMP_LOCATION_DESCRIPTOR pss_minidump_layout_since(const struct pss_minidump_layout *layout,
						       RVA rva)
{
	return (MINIDUMP_LOCATION_DESCRIPTOR){
		.DataSize = (ULONG32)(layout->bytes.size - rva),
		.Rva = rva,
	};
}

void pss_minidump_layout_relocate(struct pss_minidump_layout *layout, RVA field)
{
	if (layout->error == 0)
		layout->error = pss_buf_append(&layout->fixups, &field, sizeof field);
}

int pss_minidump_layout_settle(struct pss_minidump_layout *layout, uint64_t base)
{
	for (size_t i = 0; i < layout->fixups.size / sizeof(RVA); i++) {
		uint8_t *field = layout->bytes.data + ((const RVA *)layout->fixups.data)[i];
		RVA value;

		memcpy(&value, field, sizeof value);
		if (pss_u32(base + value, &value) < 0)
			return -EFBIG;
		memcpy(field, &value, sizeof value);
	}
	return 0;
}
