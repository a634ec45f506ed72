// SPDX-License-Identifier: LGPL-2.1-or-later
// The functions of processsnapshot.h on walks and their markers.
#include "api.h"

#include <errno.h>
#include <string.h>

#include <processsnapshot.h>

#include "marker.h"
#include "section.h"
#include "snapshot.h"
#include "walk.h"

static_assert((int)PSS_MARKER_CLASS_COUNT == (int)PSS_WALK_CLASS_COUNT, "a position each");

// A walk calls us once an entry: the section stays mapped in the marker, through an open file of
// its own, so that the marker keeps no clone alive. *is_kept_ret is false where that was not
// possible.
static int open_section(struct pss_marker *marker, HPSS snapshot, bool *is_kept_ret)
{
	struct pss_section section;
	int fd;
	int r = pss_snapshot_fd(snapshot, &fd);

	if (r < 0)
		return r;
	*is_kept_ret = true;
	if (pss_snapshot_is_section(fd, &marker->section))
		return 0;
	r = pss_snapshot_open_detached(snapshot, &section);
	if (r < 0 && r != -EBADF) {
		*is_kept_ret = false;
		r = pss_snapshot_open(snapshot, &section);
	}
	if (r < 0)
		return r;
	pss_marker_set_section(marker, &section);
	return 0;
}

/** Copies a page. What a section that nobody vouches for says of its size is not believed. */
static int add_contents(struct pss_marker *marker, struct pss_walk_entry *entry)
{
	const void *bytes;
	void *copy;

	if (entry->contents.size != pss_section_header(&marker->section)->page_size ||
	    pss_section_bytes(&marker->section, entry->contents, &bytes) < 0)
		return 0;
	int r = pss_marker_allocate(marker, entry->contents.size, &copy);
	if (r < 0)
		return r;
	memcpy(copy, bytes, entry->contents.size);
	pss_walk_set_contents(entry, copy);
	return 0;
}

/** Makes what the entry's pointers point at. */
static int complete(struct pss_marker *marker, unsigned class, struct pss_walk_entry *entry)
{
	const WCHAR *text;
	uint16_t size;
	void *context;
	int r;

	if (entry->text.size > 0 || class == PSS_WALK_THREAD_NAME) {
		r = pss_marker_text(marker, entry->text, &text, &size);
		if (r < 0)
			return r;
		pss_walk_set_text(entry, class, text, size);
	}
	if (entry->context_thread) {
		r = pss_marker_allocate(marker, entry->context_size, &context);
		if (r < 0)
			return r;
		pss_walk_set_context(&marker->section, entry, context);
	}
	return entry->contents.size > 0 ? add_contents(marker, entry) : 0;
}

/** One step with the section in the marker. *has_more_ret: there is an entry, but no buffer. */
static int step(struct pss_marker *marker, unsigned class, void *buffer, DWORD length,
		bool *has_more_ret)
{
	struct pss_walk_entry entry;
	int r = pss_walk_check(&marker->section, class, length);

	if (r < 0)
		return r;
	uint32_t index = marker->positions.next[class];
	if (index >= pss_walk_count(&marker->section, class))
		return -ENODATA;
	if (!buffer) {
		*has_more_ret = true;
		return 0;
	}
	pss_walk_fill(&marker->section, class, index, &entry);
	r = complete(marker, class, &entry);
	if (r < 0)
		return r;
	memcpy(buffer, &entry.value, entry.size);
	marker->positions.next[class]++;
	return 0;
}

DWORD WINAPI PssWalkSnapshot(HPSS SnapshotHandle, PSS_WALK_INFORMATION_CLASS InformationClass,
			     HPSSWALK WalkMarkerHandle, void *Buffer, DWORD BufferLength)
{
	PSS_API_SCOPE;
	struct pss_marker *marker;
	bool is_kept = true;
	bool has_more = false;
	int r = pss_marker_from_handle(WalkMarkerHandle, &marker);

	if (r < 0)
		return pss_api_result(NULL, "cannot walk: the marker is not valid", r);
	r = open_section(marker, SnapshotHandle, &is_kept);
	if (r == 0)
		r = step(marker, InformationClass, Buffer, BufferLength, &has_more);
	if (!is_kept)
		pss_marker_set_section(marker, &PSS_SECTION_EMPTY);
	return has_more ? ERROR_MORE_DATA : pss_api_result(NULL, "cannot walk the snapshot", r);
}

DWORD WINAPI PssWalkMarkerCreate(PSS_ALLOCATOR const *Allocator, HPSSWALK *WalkMarkerHandle)
{
	PSS_API_SCOPE;
	struct pss_marker *marker;
	int r = WalkMarkerHandle ? pss_marker_create(Allocator, &marker) : -EINVAL;

	if (r == 0)
		*WalkMarkerHandle = (HPSSWALK)marker;
	return pss_api_result(NULL, "cannot create a walk marker", r);
}

DWORD WINAPI PssWalkMarkerFree(HPSSWALK WalkMarkerHandle)
{
	PSS_API_SCOPE;
	struct pss_marker *marker;
	int r = pss_marker_from_handle(WalkMarkerHandle, &marker);

	if (r == 0)
		pss_marker_destroy(marker);
	return pss_api_result(NULL, "cannot free the walk marker", r);
}

DWORD WINAPI PssWalkMarkerGetPosition(HPSSWALK WalkMarkerHandle, ULONG_PTR *Position)
{
	PSS_API_SCOPE;
	struct pss_marker *marker;
	int r = pss_marker_from_handle(WalkMarkerHandle, &marker);

	if (r == 0)
		r = Position ? pss_marker_save(marker, Position) : -EINVAL;
	return pss_api_result(NULL, "cannot tell the walk marker's position", r);
}

DWORD WINAPI PssWalkMarkerSetPosition(HPSSWALK WalkMarkerHandle, ULONG_PTR Position)
{
	PSS_API_SCOPE;
	struct pss_marker *marker;
	int r = pss_marker_from_handle(WalkMarkerHandle, &marker);

	if (r == 0)
		r = pss_marker_restore(marker, Position);
	return pss_api_result(NULL, "cannot move the walk marker", r);
}

DWORD WINAPI PssWalkMarkerSeekToBeginning(HPSSWALK WalkMarkerHandle)
{
	PSS_API_SCOPE;
	struct pss_marker *marker;
	int r = pss_marker_from_handle(WalkMarkerHandle, &marker);

	if (r == 0)
		pss_marker_rewind(marker);
	return pss_api_result(NULL, "cannot move the walk marker", r);
}
