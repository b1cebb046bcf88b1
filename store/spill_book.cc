#include "store/spill_book.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "store/spill_file.h"

namespace raylet::store {

size_t SpillBook::FuseNext(std::span<const Item> items) {
  if (items.empty() || items.front().bytes >= kOwnFileBytes) return std::min<size_t>(items.size(), 1);
  size_t count = 0;
  for (uint64_t bytes = 0; count < items.size() && count < kFusedRowsMax && bytes < kFusedFileBytes; ++count) {
    if (items[count].bytes >= kOwnFileBytes) break;
    bytes += items[count].bytes;
  }
  return count;
}

uint64_t SpillBook::Add(std::span<const Item> items, bool is_copy) {
  const uint64_t number = next_file_++;
  File& file = files_[number];
  file.writing = true;
  file.is_copy = is_copy;
  file.bytes = SpillBodyOffset(items.size());
  for (const Item& item : items) {
    file.entries.push_back(item.entry);
    file.bytes_of.push_back(item.bytes);
    file.bytes += AlignUp(item.bytes);
    if (!is_copy) file.live_bytes += item.bytes;
  }
  if (!is_copy) file.live_rows = static_cast<uint32_t>(items.size());
  file_bytes_ += file.bytes;
  live_bytes_ += file.live_bytes;
  return number;
}

std::optional<uint64_t> SpillBook::Begin(std::span<const Item> items) {
  uint64_t bytes = SpillBodyOffset(items.size());
  for (const Item& item : items) bytes += AlignUp(item.bytes);
  if (bytes > bytes_max_ - std::min(file_bytes_, bytes_max_)) return std::nullopt;
  const uint64_t file = Add(items, /*is_copy=*/false);
  writing_bytes_ += files_[file].live_bytes;
  return file;
}

std::vector<uint32_t> SpillBook::Written(uint64_t number, uint64_t bytes) {
  File& file = files_.at(number);
  RAYLET_CHECK(file.writing, "spill file ", number, " was written twice");
  file.writing = false;
  if (!file.is_copy) writing_bytes_ -= std::accumulate(file.bytes_of.begin(), file.bytes_of.end(), uint64_t{0});
  file_bytes_ += bytes - file.bytes;
  file.bytes = bytes;
  return file.entries;
}

std::vector<uint32_t> SpillBook::Failed(uint64_t number) {
  const auto it = files_.find(number);
  RAYLET_CHECK(it != files_.end() && it->second.writing, "spill file ", number, " was not being written");
  File& file = it->second;
  std::vector<uint32_t> entries = std::move(file.entries);
  if (!file.is_copy) writing_bytes_ -= std::accumulate(file.bytes_of.begin(), file.bytes_of.end(), uint64_t{0});
  file_bytes_ -= file.bytes;
  live_bytes_ -= file.live_bytes;
  files_.erase(it);
  std::erase(entries, kNoEntry);
  return entries;
}

bool SpillBook::Drop(const DiskPlace& place) {
  const auto it = files_.find(place.file);
  if (it == files_.end()) return false;  // a file that an earlier daemon had lost
  File& file = it->second;
  if (place.row >= file.entries.size() || file.entries[place.row] == kNoEntry) return false;
  file.entries[place.row] = kNoEntry;
  file.live_bytes -= file.bytes_of[place.row];
  live_bytes_ -= file.bytes_of[place.row];
  --file.live_rows;
  return RemoveIfDead(place.file);
}

bool SpillBook::IsLive(const DiskPlace& place) const {
  const auto it = files_.find(place.file);
  return it != files_.end() && place.row < it->second.entries.size() && it->second.entries[place.row] != kNoEntry;
}

bool SpillBook::RemoveIfDead(uint64_t number) {
  const auto it = files_.find(number);
  if (it == files_.end() || it->second.writing || it->second.being_copied) return false;
  if (it->second.live_rows > 0) {
    if (WantsCopy(it->second)) to_copy_.push_back(number);
    return false;
  }
  last_dead_bytes_ = it->second.bytes;
  file_bytes_ -= last_dead_bytes_;
  files_.erase(it);
  return true;
}

// A file without dead rows gets no smaller, however much of it is its head.
bool SpillBook::WantsCopy(const File& file) const {
  return !file.writing && !file.being_copied && !file.never_copied && file.live_rows > 0 &&
         file.live_rows < file.entries.size() && file.live_bytes < file.bytes / 2;
}

std::optional<SpillBook::CopyPlan> SpillBook::BeginCopy() {
  while (!copying_ && !to_copy_.empty()) {
    CopyPlan plan{.from = to_copy_.back(), .file = 0, .rows = {}};
    to_copy_.pop_back();
    const auto it = files_.find(plan.from);
    if (it == files_.end() || !WantsCopy(it->second)) continue;
    File& from = it->second;
    std::vector<Item> items;
    uint64_t bytes = 0;
    for (uint32_t row = 0; row < from.entries.size(); ++row) {
      if (from.entries[row] == kNoEntry) continue;
      plan.rows.push_back(row);
      items.push_back({from.entries[row], from.bytes_of[row]});
      bytes += AlignUp(from.bytes_of[row]);
    }
    if (SpillBodyOffset(items.size()) + bytes > bytes_max_ - std::min(file_bytes_, bytes_max_)) {
      return std::nullopt;  // it goes at the end of its last object in any case
    }
    from.being_copied = true;
    plan.file = Add(items, /*is_copy=*/true);
    copying_ = true;
    return plan;
  }
  return std::nullopt;
}

bool SpillBook::EndCopy(const CopyPlan& plan) {
  copying_ = false;
  File& from = files_.at(plan.from);
  File& to = files_.at(plan.file);
  from.being_copied = false;
  for (uint32_t row = 0; row < plan.rows.size(); ++row) {
    const uint32_t old_row = plan.rows[row];
    if (from.entries[old_row] == kNoEntry) {
      to.entries[row] = kNoEntry;
      continue;
    }
    from.entries[old_row] = kNoEntry;
    from.live_bytes -= from.bytes_of[old_row];
    --from.live_rows;
    to.live_bytes += to.bytes_of[row];
    ++to.live_rows;
  }
  return RemoveIfDead(plan.from);
}

bool SpillBook::AbandonCopy(const CopyPlan& plan) {
  copying_ = false;
  static_cast<void>(Failed(plan.file));
  files_.at(plan.from).being_copied = false;
  files_.at(plan.from).never_copied = true;
  return RemoveIfDead(plan.from);
}

void SpillBook::AdoptRow(const DiskPlace& place, uint32_t entry, uint64_t bytes) {
  File& file = files_[place.file];
  if (place.row >= file.entries.size()) {
    file.entries.resize(place.row + 1, kNoEntry);
    file.bytes_of.resize(place.row + 1, 0);
  }
  file.entries[place.row] = entry;
  file.bytes_of[place.row] = bytes;
  file.live_bytes += bytes;
  live_bytes_ += bytes;
  ++file.live_rows;
  next_file_ = std::max(next_file_, place.file + 1);
}

bool SpillBook::AdoptFile(uint64_t number, uint64_t bytes) {
  next_file_ = std::max(next_file_, number + 1);
  const auto it = files_.find(number);
  if (it == files_.end()) return false;
  it->second.bytes = bytes;
  file_bytes_ += bytes;
  if (WantsCopy(it->second)) to_copy_.push_back(number);
  return true;
}

}  // namespace raylet::store
