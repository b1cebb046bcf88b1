// HugePages: memory for the arena in huge pages (-h): the machine's reserved ones (hugetlb), or those that the kernel
// makes for shared memory where it takes advice (shmem_enabled). A client maps such memory with one fault for each huge
// page in place of one for each 4 KiB. main calls it, before there are threads.
// Always holds: all of the memory is there when it is returned. Its size may not change.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace raylet::store {

// Of the machine's reserved huge pages; the file has a whole number of them. kFull: it has fewer free ones.
Result<UniqueFd> CreateHugetlbMemory(const std::string& name, size_t bytes);
// Of the pages that the kernel makes, as many as it can; the others are of 4 KiB. kInvalid: it takes no advice.
// `setting` is the text of shmem_enabled.
Result<UniqueFd> CreateAdvisedMemory(const std::string& name, size_t bytes, const std::string& setting);
// The text of shmem_enabled; empty where the kernel has none.
std::string ShmemHugePages();
// Pages that the kernel has cleared already, all of them.
bool IsHugetlb(int fd);

}  // namespace raylet::store
