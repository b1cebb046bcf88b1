// The reads and writes of one file of spilled objects. Any thread, also several at once: the store's loop calls none of
// these, since each may wait for the disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/result.h"
#include "store/spill_disk.h"

namespace raylet::store {

// Writes these objects of the arena into a file, over what is there, and returns its bytes. After an error there is no
// such file. kIo, with the file and the kernel's reason.
Result<uint64_t> WriteSpillFile(const std::string& path, uint64_t file, std::span<const SpillDisk::Part> parts,
                                const std::byte* arena);
// The same from these rows of another file, whose checksums are looked at.
Result<uint64_t> CopySpillFile(const std::string& from_path, uint64_t from, std::span<const uint32_t> rows,
                               const std::string& path, uint64_t file);
// Reads the object of this row into the arena. kNotFound: there is no file, or the disk cannot read it. kProtocolError:
// a checksum is wrong, the file is short, or the row is another object's. kIo: a lack of memory or descriptors, for
// now.
Result<void> ReadSpilledObject(const std::string& path, const DiskPlace& place, const SpillDisk::Part& into,
                               std::byte* arena);

}  // namespace raylet::store
