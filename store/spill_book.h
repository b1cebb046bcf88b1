// SpillBook: which files of spilled objects there are, who is in them, and what of them is dead. Pure: it decides, and
// the Spiller acts. The Spiller owns it; loop thread only.
// An object is in memory, being written, on disk, or being read. On disk it has one row of one file. A row is live from
// the write on until its object is dead or in memory again. A file goes with its last live row.
// Always holds: all files together have at most bytes_max, dead rows included. A file of several objects that is more
// than half dead waits to be copied: one file at a time, while bytes_max has room for the copy.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "fbs/segment_layout.h"
#include "store/entry_table.h"

namespace raylet::store {

constexpr uint64_t kOwnFileBytes = uint64_t{1} << 20;    // an object of so many bytes has a file of its own
constexpr uint64_t kFusedFileBytes = uint64_t{4} << 20;  // smaller ones share files of about so many bytes
constexpr uint64_t kFusedRowsMax = 4096;

class SpillBook {
 public:
  struct Item {
    uint32_t entry = kNoEntry;
    uint64_t bytes = 0;  // in the file
  };

  explicit SpillBook(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  // Splits objects, in order, into files: how many go into the next one.
  static size_t FuseNext(std::span<const Item> items);

  // A file with these objects is being written. Nothing where it would exceed bytes_max.
  std::optional<uint64_t> Begin(std::span<const Item> items);
  // The same for the live rows of `from`; they stay live there until EndCopy.
  struct CopyPlan {
    uint64_t from = 0, file = 0;
    std::vector<uint32_t> rows;  // of `from`, in the order of the new rows
  };
  std::optional<CopyPlan> BeginCopy();
  // It is on disk with so many bytes; its entries by row, kNoEntry where the object died meanwhile. RemoveIfDead
  // follows.
  std::vector<uint32_t> Written(uint64_t file, uint64_t bytes);
  bool RemoveIfDead(uint64_t file);  // true: remove the file, which is forgotten
  // There is no such file. The entries that are to be in memory still.
  std::vector<uint32_t> Failed(uint64_t file);
  // The copy's rows are live from now on, those of the other file dead. True: remove the other file.
  bool EndCopy(const CopyPlan& plan);
  // The copy has failed, and is gone. The other file is not copied again. True: remove the other file, as above.
  bool AbandonCopy(const CopyPlan& plan);
  // The object of this row is dead, or in memory again. True: remove the file, which is forgotten.
  bool Drop(const DiskPlace& place);

  // What an earlier daemon has left.
  void AdoptRow(const DiskPlace& place, uint32_t entry, uint64_t bytes);
  // After all rows. False: remove the file, nobody is in it.
  bool AdoptFile(uint64_t file, uint64_t bytes);

  bool IsLive(const DiskPlace& place) const;
  bool HasFile(uint64_t file) const { return files_.contains(file); }
  uint64_t BytesOf(uint64_t file) const { return files_.at(file).bytes; }
  uint64_t last_dead_bytes() const { return last_dead_bytes_; }  // of the file that was forgotten last
  uint64_t file_bytes() const { return file_bytes_; }            // of all files, those that are being written too
  uint64_t writing_bytes() const { return writing_bytes_; }      // of objects, for the first time
  uint64_t live_bytes() const { return live_bytes_; }
  uint64_t bytes_max() const { return bytes_max_; }
  size_t files() const { return files_.size(); }

 private:
  struct File {
    std::vector<uint32_t> entries;   // by row; kNoEntry: dead
    std::vector<uint64_t> bytes_of;  // by row
    uint64_t bytes = 0;              // of the file, or what it will have
    uint64_t live_bytes = 0;
    uint32_t live_rows = 0;
    bool writing = false;                             // not whole yet
    bool is_copy = false;                             // of another file's rows
    bool being_copied = false, never_copied = false;  // never again, after a copy that failed
  };
  uint64_t Add(std::span<const Item> items, bool is_copy);
  bool WantsCopy(const File& file) const;

  const uint64_t bytes_max_;
  std::map<uint64_t, File> files_;
  uint64_t next_file_ = 1;
  uint64_t file_bytes_ = 0, writing_bytes_ = 0, live_bytes_ = 0;
  uint64_t last_dead_bytes_ = 0;
  std::vector<uint64_t> to_copy_;  // files that were more than half dead
  bool copying_ = false;
};

}  // namespace raylet::store
