// SpillFolder: the folder below --spill-dir in which one store has its files of spilled objects. main owns it. The
// store that serves a socket has one name for it, so that the next server finds it. A lock tells others that it is in
// use. Always holds: only files of dead stores are removed, and those of this store.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "store/spill_disk.h"

namespace raylet::store {

class SpillFolder {
 public:
  // The folder of this store, whether it is there or not.
  static std::string Of(const std::string& spill_dir, const std::string& index_name);
  // `index_name` names the store (IndexSegmentName). A server that goes on (`again`) keeps the files that are there.
  // Another one removes them, and those of other stores that were killed. kAlreadyExists: another store uses the
  // folder.
  static Result<SpillFolder> Open(const std::string& spill_dir, const std::string& index_name, bool again);

  std::string PathOf(uint64_t file) const;
  std::vector<SpillDisk::FoundFile> Files() const;
  const std::string& path() const { return path_; }
  void RemoveAll() const;  // at a clean stop: the folder, too

 private:
  SpillFolder(std::string path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  UniqueFd lock_;  // of the folder
};

}  // namespace raylet::store
