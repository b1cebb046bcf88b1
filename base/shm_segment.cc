#include "base/shm_segment.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/fork_generation.h"
#include "base/strings.h"

namespace raylet {
namespace {

constexpr char kSharedMemoryFolder[] = "/dev/shm";

Result<std::string> NamedSegmentPath(const std::string& name) {
  if (name.empty() || name.size() > 255 || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    return Fail(ErrorCode::kInvalid,
                StrCat("\"", name, "\" cannot name a shared memory segment: say 1 to 255 characters without a slash"));
  }
  return StrCat(kSharedMemoryFolder, "/", name);
}

std::string ProcPath(int fd) { return StrCat("/proc/self/fd/", fd); }

Result<UniqueFd> Open(const std::string& path, int flags) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  } while (fd < 0 && errno == EINTR);
  if (fd >= 0) return UniqueFd(fd);
  switch (const int reason = errno) {
    case ENOENT: return Fail(ErrorCode::kNotFound, StrCat("there is no ", path));
    case EACCES: return Fail(ErrorCode::kNotAllowed, StrCat(path, " belongs to another user"));
    default: return FailErrno(StrCat("cannot open ", path), reason);
  }
}

Result<void> Resize(int fd, const std::string& name, size_t size) {
  int done = -1;
  do {
    done = ::ftruncate(fd, static_cast<off_t>(size));
  } while (done < 0 && errno == EINTR);
  if (done < 0) return FailErrno(StrCat("cannot give segment ", name, " a size of ", FormatBytes(size)), errno);
  return {};
}

tl::unexpected<Error> FailFull(const std::string& name, size_t size) {
  return Fail(ErrorCode::kFull,
              StrCat("segment ", name, " wants ", FormatBytes(size), " of memory and the machine (or this cgroup) has ",
                     FormatBytes(AvailableMemoryBytes()), " left: ask for less, or free some"));
}

// Takes all pages now. Checks the available memory first: past a cgroup's limit the kernel kills
// the process instead of returning an error.
Result<void> Reserve(int fd, const std::string& name, size_t size) {
  if (size > AvailableMemoryBytes()) return FailFull(name, size);
  int done = -1;
  do {
    done = ::fallocate(fd, 0, 0, static_cast<off_t>(size));
  } while (done < 0 && errno == EINTR);
  if (done == 0) return {};
  if (errno == ENOSPC || errno == ENOMEM) return FailFull(name, size);
  return FailErrno(StrCat("cannot reserve ", FormatBytes(size), " for segment ", name), errno);
}

}  // namespace

Result<Mapping> Mapping::Map(int fd, size_t size, Access access, size_t offset) {
  struct stat status {};
  if (::fstat(fd, &status) < 0) return FailErrno("cannot learn the size of a segment", errno);
  const auto file_size = static_cast<size_t>(status.st_size);
  // Touching a page past the end of the file would raise SIGBUS.
  if (size == 0 || offset > file_size || size > file_size - offset) {
    return Fail(ErrorCode::kInvalid, StrCat("cannot map ", size, " bytes of a segment of ", file_size, " bytes"));
  }
  // The kernel maps whole pages of the file, and unmaps nothing else.
  const auto page = static_cast<size_t>(status.st_blksize);
  const size_t mapped = (size + page - 1) / page * page;
  const int protection = access == Access::kReadOnly ? PROT_READ : PROT_READ | PROT_WRITE;
  void* const data = ::mmap(nullptr, mapped, protection, MAP_SHARED | MAP_NORESERVE, fd, static_cast<off_t>(offset));
  if (data == MAP_FAILED) {
    const int reason = errno;
    if (reason == EACCES || reason == EPERM) {
      return Fail(ErrorCode::kNotAllowed, "this segment may be mapped for reading only");
    }
    return FailErrno(StrCat("cannot map ", FormatBytes(size), " of shared memory"), reason);
  }
  if (access == Access::kReadOnly) return Mapping(static_cast<std::byte*>(data), size, mapped, kInherited);
  // A child of fork() has neither the threads nor the locks that guard what is written here.
  CountForks();
  Mapping mapping(static_cast<std::byte*>(data), size, mapped, ForkGeneration());
  if (::madvise(data, mapped, MADV_DONTFORK) < 0)
    return FailErrno("cannot keep a mapping of shared memory out of children", errno);
  return mapping;
}

void Mapping::Unmap() {
  if (data_ == nullptr || (generation_ != kInherited && generation_ != ForkGeneration())) return;
  ::munmap(data_, mapped_bytes_);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_bytes_(other.mapped_bytes_),
      generation_(other.generation_) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this != &other) {
    Unmap();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    mapped_bytes_ = other.mapped_bytes_;
    generation_ = other.generation_;
  }
  return *this;
}

Mapping::~Mapping() { Unmap(); }

Result<UniqueFd> CreateMemfd(const std::string& name, size_t size, bool reserve) {
  if (size == 0) return Fail(ErrorCode::kInvalid, StrCat("segment ", name, " needs a size above zero"));
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return FailErrno(StrCat("cannot create shared memory ", name), errno);
  // The kernel's own mode lets any user who has a read-only descriptor open the memory anew for writing.
  if (::fchmod(fd.get(), 0600) < 0) return FailErrno(StrCat("cannot set the mode of shared memory ", name), errno);
  RAYLET_RETURN_IF_ERROR(Resize(fd.get(), name, size));
  if (reserve) RAYLET_RETURN_IF_ERROR(Reserve(fd.get(), name, size));
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0) {
    return FailErrno(StrCat("cannot seal the size of shared memory ", name), errno);
  }
  return fd;
}

Result<UniqueFd> ReopenReadOnly(int fd) { return Open(ProcPath(fd), O_RDONLY); }

Result<size_t> FileSize(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) < 0) return FailErrno("cannot learn the size of a segment", errno);
  return static_cast<size_t>(status.st_size);
}

Result<UniqueFd> CreateNamedSegment(const std::string& name, size_t size) {
  const auto path = NamedSegmentPath(name);
  if (!path) return Fail(path.error());
  // Locks and sizes the file before it has a name. Otherwise another process could see it without
  // its lock and take it for an abandoned one.
  auto fd = Open(kSharedMemoryFolder, O_TMPFILE | O_RDWR);
  if (!fd) return fd;
  if (::fchmod(fd->get(), 0600) < 0) return FailErrno(StrCat("cannot set the mode of segment ", name), errno);
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) < 0) return FailErrno(StrCat("cannot lock segment ", name), errno);
  RAYLET_RETURN_IF_ERROR(Resize(fd->get(), name, size));
  if (::linkat(AT_FDCWD, ProcPath(fd->get()).c_str(), AT_FDCWD, path->c_str(), AT_SYMLINK_FOLLOW) < 0) {
    const int reason = errno;
    if (reason == EEXIST) {
      return Fail(ErrorCode::kAlreadyExists,
                  StrCat("segment ", *path, " exists already: choose another name, or remove it if nobody uses it"));
    }
    return FailErrno(StrCat("cannot create segment ", *path), reason);
  }
  return fd;
}

Result<UniqueFd> OpenNamedSegmentReadOnly(const std::string& name) {
  const auto path = NamedSegmentPath(name);
  if (!path) return Fail(path.error());
  return Open(*path, O_RDONLY | O_NOFOLLOW);
}

void UnlinkNamedSegment(const std::string& name) {
  if (const auto path = NamedSegmentPath(name)) ::unlink(path->c_str());
}

bool LockedByOwner(int fd) {
  // Opens the file again: a lock tried on `fd` itself would replace the one that its creator holds
  // there.
  const auto own = ReopenReadOnly(fd);
  if (!own) return true;  // unknown: never take a live segment for an abandoned one
  return ::flock(own->get(), LOCK_SH | LOCK_NB) < 0;
}

}  // namespace raylet
