#include "store/dead_files.h"

#include <algorithm>

namespace raylet::store {

void DeadFiles::Add(uint64_t file, uint64_t bytes, TimePoint now) {
  files_.push_back({file, bytes, now});
  bytes_ += bytes;
}

uint64_t DeadFiles::Take(std::deque<File>::iterator file) {
  const uint64_t number = file->number;
  bytes_ -= file->bytes;
  files_.erase(file);
  return number;
}

std::vector<uint64_t> DeadFiles::Replace(uint64_t bytes, uint64_t left_bytes_max) {
  std::vector<uint64_t> replaced;
  // A file of another size would be cut, or grow, and the blocks of a large one are for a large one.
  const auto fits = [bytes](const File& file) { return file.bytes / 2 <= bytes && bytes / 2 <= file.bytes; };
  if (const auto file = std::ranges::find_if(files_, fits); file != files_.end()) replaced.push_back(Take(file));
  while (bytes_ > left_bytes_max) replaced.push_back(Take(files_.begin()));
  return replaced;
}

std::vector<uint64_t> DeadFiles::TakeSurplus(TimePoint now) {
  std::vector<uint64_t> surplus;
  while (!files_.empty() &&
         (files_.size() > kDeadFilesMax || bytes_ > kDeadBytesMax || files_.front().since + kDeadFileKept <= now))
    surplus.push_back(Take(files_.begin()));
  return surplus;
}

std::vector<uint64_t> DeadFiles::TakeAll() {
  std::vector<uint64_t> all;
  while (!files_.empty()) all.push_back(Take(files_.begin()));
  return all;
}

}  // namespace raylet::store
