#include "store/huge_pages.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <utility>

#include "base/shm_segment.h"
#include "base/strings.h"

namespace raylet::store {
namespace {

constexpr const char* kShmemEnabled = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

Result<UniqueFd> Seal(UniqueFd fd, const std::string& name) {
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
    return FailErrno(StrCat("cannot seal the size of shared memory ", name), errno);
  return fd;
}

Result<UniqueFd> Create(const std::string& name, unsigned flags) {
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
  if (!fd) return FailErrno(StrCat("cannot create shared memory ", name), errno);
  if (::fchmod(fd.get(), 0600) < 0) return FailErrno(StrCat("cannot set the mode of shared memory ", name), errno);
  return fd;
}

}  // namespace

Result<UniqueFd> CreateHugetlbMemory(const std::string& name, size_t bytes) {
  auto fd = Create(name, MFD_HUGETLB);
  if (!fd) return fd;
  struct stat status {};
  if (::fstat(fd->get(), &status) != 0) return FailErrno("cannot learn the size of a huge page", errno);
  const auto page = static_cast<size_t>(status.st_blksize);
  const size_t whole = (bytes + page - 1) / page * page;
  if (::ftruncate(fd->get(), static_cast<off_t>(whole)) != 0 ||
      ::fallocate(fd->get(), 0, 0, static_cast<off_t>(whole)) != 0)
    return Fail(ErrorCode::kFull, StrCat("the machine has fewer than ", whole / page, " free reserved huge pages of ",
                                         FormatBytes(page), " (vm.nr_hugepages)"));
  return Seal(*std::move(fd), name);
}

Result<UniqueFd> CreateAdvisedMemory(const std::string& name, size_t bytes, const std::string& setting) {
  const bool takes_advice =
      setting.find("[always]") != std::string::npos || setting.find("[within_size]") != std::string::npos ||
      setting.find("[advise]") != std::string::npos || setting.find("[force]") != std::string::npos;
  if (!takes_advice)
    return Fail(ErrorCode::kInvalid, StrCat("the kernel makes none for shared memory (", kShmemEnabled, " says ",
                                            setting.empty() ? "nothing" : setting, "; \"advise\" would do)"));
  auto fd = Create(name, 0);
  if (!fd) return fd;
  if (::ftruncate(fd->get(), static_cast<off_t>(bytes)) != 0)
    return FailErrno(StrCat("cannot size shared memory ", name), errno);
  {
    // Only a page that is made by a fault in an advised mapping is a huge one. What is left makes the reservation.
    const auto mapping = Mapping::Map(fd->get(), bytes, Mapping::Access::kReadWrite);
    if (!mapping) return Fail(mapping.error());
    if (::madvise(mapping->data(), mapping->size(), MADV_HUGEPAGE) != 0)
      return FailErrno("the kernel takes no advice about huge pages", errno);
    (void)::madvise(mapping->data(), mapping->size(), MADV_POPULATE_WRITE);
  }
  if (::fallocate(fd->get(), 0, 0, static_cast<off_t>(bytes)) != 0)
    return Fail(ErrorCode::kFull, StrCat("cannot reserve ", FormatBytes(bytes), " of shared memory ", name,
                                         ": the machine has too little memory left"));
  return Seal(*std::move(fd), name);
}

std::string ShmemHugePages() {
  std::string setting;
  std::ifstream file(kShmemEnabled);
  std::getline(file, setting);
  return setting;
}

bool IsHugetlb(int fd) {
  struct statfs status {};
  return ::fstatfs(fd, &status) == 0 && status.f_type == HUGETLBFS_MAGIC;
}

}  // namespace raylet::store
