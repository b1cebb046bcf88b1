#include "store/spill_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

#include "base/log.h"
#include "base/shm_segment.h"
#include "base/strings.h"
#include "fbs/segment_layout.h"

namespace raylet::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kFolderPrefix = "plasma-spill-", kFileSuffix = ".objects";

std::optional<uint64_t> NumberOf(const fs::path& path) {
  const std::string name = path.filename();
  if (!name.ends_with(kFileSuffix)) return std::nullopt;
  const char* const end = name.data() + name.size() - kFileSuffix.size();
  uint64_t number = 0;
  const auto [rest, error] = std::from_chars(name.data(), end, number);
  if (error != std::errc() || rest != end || number >= kSpillFilesMax) return std::nullopt;
  return number;
}

// The lock, or nothing where somebody has it or there is no such folder.
UniqueFd Lock(const fs::path& folder) {
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) fd.Reset();
  return fd;
}

void RemoveFilesIn(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (NumberOf(entry.path())) fs::remove(entry.path(), error);
}

// A store that is killed with its keeper leaves its files behind. While its index is locked it lives, or starts again.
void RemoveThoseOfTheDead(const fs::path& spill_dir, const fs::path& own) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(spill_dir, error)) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(kFolderPrefix) || entry.path() == own) continue;
    const auto index =
        OpenNamedSegmentReadOnly(StrCat(kIndexSegmentPrefix, std::string_view(name).substr(kFolderPrefix.size())));
    if ((index && LockedByOwner(index->get())) || !Lock(entry.path())) continue;
    RemoveFilesIn(entry.path());
    if (fs::remove(entry.path(), error))
      RAYLET_LOG(kInfo, "removed the spilled objects of a killed store: ", entry.path().string());
  }
}

}  // namespace

std::string SpillFolder::Of(const std::string& spill_dir, const std::string& index_name) {
  return fs::path(spill_dir) / StrCat(kFolderPrefix, std::string_view(index_name).substr(kIndexSegmentPrefix.size()));
}

Result<SpillFolder> SpillFolder::Open(const std::string& spill_dir, const std::string& index_name, bool again) {
  std::error_code error;
  const fs::path path = Of(spill_dir, index_name);
  fs::create_directories(path, error);
  if (error) return Fail(ErrorCode::kIo, StrCat("cannot make the folder ", path.string(), ": ", error.message()));
  fs::permissions(path, fs::perms::owner_all, error);
  UniqueFd lock = Lock(path);
  if (!lock)
    return Fail(ErrorCode::kAlreadyExists,
                StrCat("another plasma_store spills to ", path.string(), ": name another folder"));
  if (::faccessat(lock.get(), ".", W_OK | X_OK, 0) != 0)
    return FailErrno(StrCat("cannot write to the folder ", path.string()), errno);
  if (!again) {
    RemoveFilesIn(path);
    RemoveThoseOfTheDead(spill_dir, path);
  }
  return SpillFolder(path, std::move(lock));
}

std::string SpillFolder::PathOf(uint64_t file) const { return StrCat(path_, "/", file, kFileSuffix); }

std::vector<SpillDisk::FoundFile> SpillFolder::Files() const {
  std::vector<SpillDisk::FoundFile> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_, error)) {
    const auto number = NumberOf(entry.path());
    const uint64_t bytes = number ? entry.file_size(error) : 0;
    if (number) files.push_back({*number, error ? 0 : bytes});
  }
  return files;
}

void SpillFolder::RemoveAll() const {
  std::error_code error;
  RemoveFilesIn(path_);
  fs::remove(path_, error);
}

}  // namespace raylet::store
