#include "client/parameter_server/version_cell.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>
#include <random>
#include <string>
#include <unordered_map>

namespace ray::ps::internal {

struct CellMemory {
  std::atomic<uint64_t> mark;
  std::atomic<uint64_t> version;
};
static_assert(sizeof(CellMemory) == 16 && std::atomic<uint64_t>::is_always_lock_free);

namespace {

constexpr size_t kMappedMax = 64;  // cells that a thread keeps

void* MapPage(int fd, int protection) {
  void* const memory = ::mmap(nullptr, sizeof(CellMemory), protection, MAP_SHARED, fd, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

VersionCell::VersionCell() {
  const int fd = ::memfd_create("raylet-version", MFD_CLOEXEC);
  if (fd < 0) return;
  void* const memory = ::ftruncate(fd, sizeof(CellMemory)) == 0 ? MapPage(fd, PROT_READ | PROT_WRITE) : nullptr;
  if (memory == nullptr) {
    ::close(fd);
    return;
  }
  std::random_device device;
  memory_ = new (memory) CellMemory{};
  place_ = {::getpid(), fd, (uint64_t{device()} << 32) | device()};
  // Before the place is told to anybody.
  memory_->mark.store(place_.mark, std::memory_order_relaxed);
}

VersionCell::~VersionCell() {
  if (memory_ == nullptr) return;
  ::munmap(memory_, sizeof(CellMemory));
  ::close(place_.fd);
}

// Publishes that the version is countable: readers that see it in StillAt ask for it by a call. It carries no data.
void VersionCell::Set(uint64_t version) {
  if (memory_ != nullptr) memory_->version.store(version, std::memory_order_release);
}

std::shared_ptr<const ReadCell> ReadCell::At(const CellPlace& place) {
  if (place.fd < 0) return nullptr;
  thread_local std::unordered_map<uint64_t, std::shared_ptr<const ReadCell>> mapped;
  const auto found = mapped.find(place.mark);
  if (found != mapped.end()) return found->second;
  if (mapped.size() >= kMappedMax) mapped.clear();
  return mapped[place.mark] = Map(place);
}

// On another machine the descriptor is anything or nothing. So the file is looked at before it is opened.
std::shared_ptr<const ReadCell> ReadCell::Map(const CellPlace& place) {
  const std::string path = "/proc/" + std::to_string(place.pid) + "/fd/" + std::to_string(place.fd);
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode) || status.st_size != sizeof(CellMemory))
    return nullptr;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return nullptr;
  void* const memory = MapPage(fd, PROT_READ);
  ::close(fd);
  if (memory == nullptr) return nullptr;
  std::shared_ptr<const ReadCell> cell(new ReadCell(static_cast<const CellMemory*>(memory)));
  return cell->memory_->mark.load(std::memory_order_relaxed) == place.mark ? cell : nullptr;
}

ReadCell::~ReadCell() { ::munmap(const_cast<CellMemory*>(memory_), sizeof(CellMemory)); }

// Sees what VersionCell::Set published before the answer to any call that this thread knows of.
bool ReadCell::StillAt(uint64_t version, TimePoint now) const {
  return memory_->version.load(std::memory_order_acquire) == version &&
         now.time_since_epoch().count() - asked_.load(std::memory_order_relaxed) <
             TimePoint::duration(kTrusted).count();
}

}  // namespace ray::ps::internal
