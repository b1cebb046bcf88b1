// Spiller: moves objects to disk when their memory is needed, and back when somebody gets them: those that may not be
// evicted, or all of them, which makes the disk an external store in Plasma's sense. It does no I/O itself: SpillDisk
// does. On the ObjectTable; main owns it; loop thread only. Spilling: the disk writes the object's bytes while it stays
// sealed and everybody may pin it. A hold of the Spiller's own keeps its memory in place. Then the entry's word says
// that it may not be pinned, and after a fence the pins are read. A pinned object is sealed again, and its row is dead.
// Otherwise one store to the entry's place moves it to disk. Restoring: the disk reads the bytes into a new run, one
// store to the place moves the object there, and its word says that it is sealed. So at every store the object is
// whole, in memory or on disk. It keeps its row while it lives, and can leave again without a write. Always holds: an
// object that somebody pins stays in memory. No byte is shown whose checksum was wrong.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "store/dead_files.h"
#include "store/object_table.h"
#include "store/room_maker.h"
#include "store/spill_book.h"
#include "store/spill_disk.h"
#include "store/spill_target.h"

namespace raylet::store {

class Spiller final : public SpillDisk::Handler {
 public:
  // All of them outlive this.
  Spiller(ObjectTable& table, RoomMaker& room, SpillDisk& disk, uint64_t bytes_max, SpillWhat what = SpillWhat::kOwned);
  ~Spiller() override;
  // After Recovery, with the files that an earlier daemon has left. Those in which nobody is are removed.
  void Adopt(std::span<const SpillDisk::FoundFile> files);

  // A create or a restore of so many bytes found no room. Begins to write the objects that were released the longest
  // ago. Does nothing while enough of them are being written. True when memory came free at once, because the disk has
  // the bytes already.
  bool WantRoom(uint64_t need_bytes);
  enum class Restored {
    kUnknown,  // no sealed object of this id
    kHere,     // in memory
    kUnderWay,
    kNoRoom,  // for now
    kLost,
  };
  Restored Restore(const ObjectId& id);
  // Ends the holds of restored objects that their getters had time to pin, and goes on with what waited. Removes files
  // that were dead for a while.
  void Tick();
  bool HasHolds() const { return !restored_.empty(); }
  bool HasDeadFiles() const { return !dead_.Empty(); }
  bool MakesRoom() const { return book_.writing_bytes() > 0; }  // unless somebody pins it, or the write fails
  bool spills_all() const { return table_.quotas.spills_all(); }
  uint64_t left_bytes() const { return left_bytes_; }  // that have left the memory, so far
  // How much is on disk, and the last failure. For a create that found no room.
  std::string Text() const;
  const SpillBook& book() const { return book_; }

  // `callback` runs when a spilled object is in memory again, or its read has failed: then it may be lost.
  void OnRestored(std::function<void(const ObjectId&, const Result<void>&)> callback) {
    on_restored_ = std::move(callback);
  }
  // `callback` runs when objects have left the memory, or could not.
  void OnWrote(std::function<void()> callback) { on_wrote_ = std::move(callback); }

  void OnWritten(uint64_t file, const Result<uint64_t>& bytes) override;
  void OnRead(uint64_t read, const Result<void>& outcome) override;

 private:
  struct Read {
    uint32_t entry = kNoEntry;  // kNoEntry: the object has gone meanwhile
    ObjectId id;
    DiskPlace place;
    SpillDisk::Part into;
    uint64_t bytes = 0;  // logical
  };
  struct Held {
    uint32_t entry = kNoEntry;
    TimePoint until;
  };

  struct Chosen {
    std::vector<uint32_t> clean;  // the disk has their bytes
    std::vector<SpillBook::Item> to_write;
  };
  Chosen Choose(uint64_t bytes, bool may_write);
  bool WriteAll(std::span<const SpillBook::Item> items);
  bool ForgetClean(const std::vector<uint32_t>& entries);
  bool MoveToDisk(uint32_t entry, uint64_t word);
  bool Write(std::span<const SpillBook::Item> items);
  void EndWrite(uint64_t file, const Result<uint64_t>& bytes);
  bool EndRead(const Read& read, const Result<void>& outcome);  // false: nobody is told
  void MoveOut(uint64_t file, const std::vector<uint32_t>& entries);
  void Drop(const DiskPlace& place);
  void Died(uint64_t file);
  std::vector<uint64_t> ReplacedBy(uint64_t file);
  bool RemoveDeadFiles();
  void Freed(uint32_t entry, uint64_t word);
  void Released(uint32_t entry);
  void EndCopy(const Result<uint64_t>& bytes);
  void CopyNext();
  void LoseObject(const Read& read, const Error& why);
  void Count();

  ObjectTable& table_;
  RoomMaker& room_;
  SpillDisk& disk_;
  SpillBook book_;
  DeadFiles dead_;                                  // with the book's files they take at most its bytes_max
  std::optional<SpillBook::CopyPlan> copy_;         // under way
  std::map<uint64_t, Read> reads_;                  // under way, by number
  std::unordered_map<uint32_t, uint64_t> read_of_;  // by entry
  uint64_t next_read_ = 1;
  uint64_t left_bytes_ = 0;
  std::unordered_map<uint32_t, uint64_t> clean_;  // restored objects, whose rows are live still, with their words
  std::deque<Held> restored_;                     // the oldest first
  std::string failure_;                           // of the last write; empty once one succeeds
  TimePoint write_again_{};                       // after a failure
  TimePoint choose_again_{};                      // after a vain look
  std::function<void(const ObjectId&, const Result<void>&)> on_restored_;
  std::function<void()> on_wrote_;
};

}  // namespace raylet::store
