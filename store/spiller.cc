#include "store/spiller.h"

#include <algorithm>
#include <utility>

#include "base/counted.h"
#include "base/log.h"
#include "base/strings.h"
#include "store/spill_file.h"

namespace raylet::store {
namespace {

constexpr uint64_t kAheadBytesMax = uint64_t{64} << 20;  // written beyond what is needed now
constexpr uint64_t kAheadShare = 16;                     // of the capacity
constexpr size_t kChosenAtOnce = 16'384;                 // objects; a turn of the loop stays short
constexpr std::chrono::milliseconds kWritePause{1000};   // after a failure
constexpr std::chrono::milliseconds kChoosePause{100};   // a released pin sends no message
constexpr std::chrono::milliseconds kRestoredHold{200};  // in which a getter pins what it asked for

}  // namespace

Spiller::Spiller(ObjectTable& table, RoomMaker& room, SpillDisk& disk, uint64_t bytes_max, SpillWhat what)
    : table_(table), room_(room), disk_(disk), book_(bytes_max) {
  if (what == SpillWhat::kAll) table_.quotas.SpillAll();
  disk_.SetHandler(this);
  table_.hooks.on_freed = [this](uint32_t entry, uint64_t word) { Freed(entry, word); };
  table_.hooks.on_released = [this](uint32_t entry) { Released(entry); };
  table_.hooks.spilling_text = [this] { return Text(); };
}

Spiller::~Spiller() {
  disk_.SetHandler(nullptr);
  table_.hooks.on_freed = {};
  table_.hooks.on_released = {};
  table_.hooks.spilling_text = {};
}

void Spiller::Adopt(std::span<const SpillDisk::FoundFile> files) {
  for (uint32_t entry = 0; entry < table_.index.bound(); ++entry) {
    if (table_.index.StateOf(entry) != EntryState::kSpilled) continue;
    const ObjectIndex::Fields object = table_.index.FieldsOf(entry);
    if (object.offset != kLostWord)
      book_.AdoptRow(DiskPlaceOf(object.offset), entry, SpilledBytes(object.data_bytes, object.metadata_bytes));
  }
  for (const SpillDisk::FoundFile& file : files)
    if (!book_.AdoptFile(file.file, file.bytes)) disk_.Remove(file.file);
  Count();
  CopyNext();
}

bool Spiller::WantRoom(uint64_t need_bytes) {
  const TimePoint now = table_.clock().Now();
  if (now < choose_again_ || book_.writing_bytes() >= std::max<uint64_t>(need_bytes, 1)) return false;
  const uint64_t ahead = std::min(table_.capacity_bytes / kAheadShare, kAheadBytesMax);
  const uint64_t bytes = need_bytes + ahead - book_.writing_bytes();
  const Transaction transaction = table_.Begin();
  // Where the disk takes no more, what it has already goes first.
  if (!failure_.empty() && ForgetClean(Choose(bytes, /*may_write=*/false).clean)) return true;
  const Chosen chosen = Choose(bytes, /*may_write=*/now >= write_again_);
  bool freed = ForgetClean(chosen.clean);
  const bool wrote = WriteAll(chosen.to_write);
  if (!freed && !wrote) freed = ForgetClean(Choose(bytes, /*may_write=*/false).clean);
  if (!freed && !wrote) choose_again_ = now + kChoosePause;
  Count();
  return freed;
}

// Of those that nobody pins. Pinned ones are released later than all others were.
Spiller::Chosen Spiller::Choose(uint64_t bytes, bool may_write) {
  table_.ReadAllTouches();
  table_.pins.Scan();
  Chosen chosen;
  uint64_t sum = 0;
  uint32_t entry = table_.spill_order.Oldest();
  size_t left = table_.spill_order.size();
  for (; left > 0 && sum < bytes && chosen.clean.size() + chosen.to_write.size() < kChosenAtOnce; --left) {
    const uint32_t next = StateList::After(table_.notes, entry);
    const ObjectIndex::Fields object = table_.index.FieldsOf(entry);
    const bool clean = clean_.contains(entry);
    if (table_.pins.Pinned(entry)) {
      table_.spill_order.Released(entry);
    } else if (object.bytes() > 0 && (clean || may_write)) {  // an object without bytes makes no room
      if (clean)
        chosen.clean.push_back(entry);
      else
        chosen.to_write.push_back({entry, SpilledBytes(object.data_bytes, object.metadata_bytes)});
      sum += object.bytes();
    }
    entry = next;
  }
  return chosen;
}

// False where none of them could be written.
bool Spiller::WriteAll(std::span<const SpillBook::Item> items) {
  bool wrote = false;
  while (!items.empty()) {
    auto piece = items.first(SpillBook::FuseNext(items));
    while (!piece.empty() && !Write(piece)) piece = piece.first(piece.size() / 2);
    if (piece.empty()) break;
    wrote = true;
    items = items.subspan(piece.size());
  }
  return wrote;
}

// False where none of them left.
bool Spiller::ForgetClean(const std::vector<uint32_t>& entries) {
  if (entries.empty()) return false;
  for (const uint32_t entry : entries) {
    table_.spill_order.Remove(entry);
    table_.index.MarkSpilled(entry);
  }
  table_.pins.Scan();
  bool left = false;
  for (const uint32_t entry : entries) {
    if (!MoveToDisk(entry, clean_.at(entry))) continue;
    clean_.erase(entry);
    left = true;
  }
  return left;
}

// After MarkSpilled, and a scan of the pins. False where somebody has pinned it: then it is sealed again.
bool Spiller::MoveToDisk(uint32_t entry, uint64_t word) {
  if (table_.pins.Pinned(entry)) {
    table_.index.MarkHeld(entry);
    table_.spill_order.Add(entry);
    return false;
  }
  left_bytes_ += table_.BytesOf(entry);
  table_.ToDisk(entry, word);
  return true;
}

// Dead files that the new one replaces, so that all files together keep their bound.
std::vector<uint64_t> Spiller::ReplacedBy(uint64_t file) {
  return dead_.Replace(book_.BytesOf(file), book_.bytes_max() - book_.file_bytes());
}

bool Spiller::Write(std::span<const SpillBook::Item> items) {
  const auto file = book_.Begin(items);
  if (!file) {
    failure_ = StrCat("the spill files have ", book_.file_bytes(), " bytes, and --spill-max is ", book_.bytes_max());
    return false;
  }
  std::vector<SpillDisk::Part> parts;
  parts.reserve(items.size());
  for (const SpillBook::Item& item : items) {
    const ObjectIndex::Fields object = table_.index.FieldsOf(item.entry);
    parts.push_back({table_.index.IdOf(item.entry), object.data_bytes, object.metadata_bytes, object.offset});
    table_.spill_order.Remove(item.entry);
    table_.pins.Hold(item.entry);
  }
  disk_.Write(*file, std::move(parts), ReplacedBy(*file));
  return true;
}

void Spiller::OnWritten(uint64_t file, const Result<uint64_t>& bytes) {
  {
    const Transaction transaction = table_.Begin();
    if (copy_ && copy_->file == file)
      EndCopy(bytes);
    else
      EndWrite(file, bytes);
  }
  if (on_wrote_) on_wrote_();
}

void Spiller::EndWrite(uint64_t file, const Result<uint64_t>& bytes) {
  if (bytes) {
    failure_.clear();
    MoveOut(file, book_.Written(file, *bytes));
    if (book_.RemoveIfDead(file)) Died(file);
  } else {
    RAYLET_LOG(kError, "objects stay in memory: ", bytes.error().message);
    failure_ = bytes.error().message;
    if (!RemoveDeadFiles()) write_again_ = table_.clock().Now() + kWritePause;  // the disk may have room without them
    Add(table_.counters().spill_failures, 1);
    table_.events.SpillFailed(table_.NowMs());
    for (const uint32_t entry : book_.Failed(file)) {
      table_.pins.Unhold(entry);
      if (table_.index.StateOf(entry) == EntryState::kSealed && !table_.notes[entry].deleted)
        table_.spill_order.Add(entry);
    }
  }
  table_.SweepDying();  // what was deleted meanwhile
  Count();
  CopyNext();
}

void Spiller::MoveOut(uint64_t file, const std::vector<uint32_t>& entries) {
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < entries.size(); ++row) {
    const uint32_t entry = entries[row];
    table_.pins.Unhold(entry);
    if (table_.index.StateOf(entry) == EntryState::kSealed && !table_.notes[entry].deleted) {
      table_.index.MarkSpilled(entry);
      rows.push_back(row);
    } else {
      Drop({file, row});
    }
  }
  table_.pins.Scan();  // after the fences: whoever has pinned one of them is seen, or sees that it may not
  uint64_t moved_bytes = 0, moved = 0;
  for (const uint32_t row : rows) {
    const uint32_t entry = entries[row];
    if (MoveToDisk(entry, DiskWord({file, row}))) {
      moved_bytes += table_.BytesOf(entry);
      ++moved;
    } else {
      Drop({file, row});
    }
  }
  Add(table_.counters().spills, moved);
  Add(table_.counters().spilled_out_bytes, moved_bytes);
  table_.events.Spilled(table_.NowMs(), moved, moved_bytes);
}

void Spiller::Drop(const DiskPlace& place) {
  if (book_.Drop(place)) Died(place.file);
}

void Spiller::Died(uint64_t file) {
  dead_.Add(file, book_.last_dead_bytes(), table_.clock().Now());
  for (const uint64_t surplus : dead_.TakeSurplus(table_.clock().Now())) disk_.Remove(surplus);
}

bool Spiller::RemoveDeadFiles() {
  const std::vector<uint64_t> all = dead_.TakeAll();
  for (const uint64_t file : all) disk_.Remove(file);
  return !all.empty();
}

void Spiller::Freed(uint32_t entry, uint64_t word) {
  if (word == 0) {
    const auto clean = clean_.find(entry);
    if (clean == clean_.end()) return;
    word = clean->second;
    clean_.erase(clean);
  } else if (const auto it = read_of_.find(entry); it != read_of_.end()) {
    reads_.at(it->second).entry = kNoEntry;
    read_of_.erase(it);
  }
  if (word != kLostWord) Drop(DiskPlaceOf(word));
  Count();
  CopyNext();
}

// Its getter has had it.
void Spiller::Released(uint32_t entry) {
  const auto held = std::ranges::find(restored_, entry, &Held::entry);
  if (held == restored_.end()) return;
  table_.pins.Unhold(entry);
  restored_.erase(held);
  choose_again_ = {};
}

void Spiller::CopyNext() {
  if (copy_) return;
  copy_ = book_.BeginCopy();
  if (copy_) disk_.Copy(copy_->from, copy_->rows, copy_->file, ReplacedBy(copy_->file));
}

void Spiller::EndCopy(const Result<uint64_t>& bytes) {
  const SpillBook::CopyPlan plan = *std::exchange(copy_, std::nullopt);
  if (bytes) {
    const std::vector<uint32_t> entries = book_.Written(plan.file, *bytes);
    for (uint32_t row = 0; row < entries.size(); ++row) {
      const uint64_t old_word = DiskWord({plan.from, plan.rows[row]});
      const uint32_t entry = entries[row];
      if (!book_.IsLive({plan.from, plan.rows[row]})) continue;
      if (const auto clean = clean_.find(entry); clean != clean_.end() && clean->second == old_word)
        clean->second = DiskWord({plan.file, row});
      else
        table_.index.SetPlace(entry, DiskWord({plan.file, row}));
    }
    if (book_.EndCopy(plan)) Died(plan.from);
    if (book_.RemoveIfDead(plan.file)) Died(plan.file);
  } else {
    RAYLET_LOG(kError, "a spill file stays as it is, though half of it is dead: ", bytes.error().message);
    RemoveDeadFiles();
    if (book_.AbandonCopy(plan)) Died(plan.from);
  }
  Count();
  CopyNext();
}

Spiller::Restored Spiller::Restore(const ObjectId& id) {
  const auto entry = table_.index.Find(id);
  if (!entry || table_.index.StateOf(*entry) == EntryState::kUnsealed) return Restored::kUnknown;
  if (table_.index.StateOf(*entry) != EntryState::kSpilled) return Restored::kHere;
  const ObjectIndex::Fields object = table_.index.FieldsOf(*entry);
  if (object.offset == kLostWord) return Restored::kLost;
  if (read_of_.contains(*entry)) return Restored::kUnderWay;
  const Transaction transaction = table_.Begin();
  const auto find = [&] { return room_.FindRun(object.data_bytes, object.metadata_bytes, /*evict=*/true, 0); };
  auto run = find();
  if (!run && WantRoom(object.bytes())) run = find();
  if (!run) return Restored::kNoRoom;
  table_.CountRestoring(object.bytes(), true);
  const uint64_t number = next_read_++;
  const Read& read = reads_[number] = {.entry = *entry,
                                       .id = id,
                                       .place = DiskPlaceOf(object.offset),
                                       .into = {id, object.data_bytes, object.metadata_bytes, *run},
                                       .bytes = object.bytes()};
  read_of_[*entry] = number;
  disk_.Read(number, read.place, read.into);
  return Restored::kUnderWay;
}

void Spiller::OnRead(uint64_t number, const Result<void>& outcome) {
  const Read read = std::move(reads_.extract(number).mapped());
  if (EndRead(read, outcome) && on_restored_) on_restored_(read.id, outcome);
}

bool Spiller::EndRead(const Read& read, const Result<void>& outcome) {
  const Transaction transaction = table_.Begin();
  const bool there = read.entry != kNoEntry;
  const uint64_t word = there ? table_.index.FieldsOf(read.entry).offset : 0;
  // A copy of its file has moved it, and the old file is gone.
  if (there && !outcome && word != DiskWord(read.place)) {
    Read& again = reads_[next_read_] = read;
    again.place = DiskPlaceOf(word);
    read_of_[read.entry] = next_read_;
    disk_.Read(next_read_++, again.place, again.into);
    return false;
  }
  table_.CountRestoring(read.bytes, false);
  if (!there || !outcome) table_.arena.Free(read.into.offset);
  if (there) {
    read_of_.erase(read.entry);
    if (outcome) {
      table_.FromDisk(read.entry, read.into.offset);
      table_.pins.Hold(read.entry);
      restored_.push_back({read.entry, table_.clock().Now() + kRestoredHold});
      clean_[read.entry] = word;
      Add(table_.counters().restores, 1);
      Add(table_.counters().restored_bytes, read.bytes);
      table_.events.Restored(table_.NowMs(), 1, read.bytes);
    } else if (outcome.error().code == ErrorCode::kNotFound || outcome.error().code == ErrorCode::kProtocolError) {
      LoseObject(read, outcome.error());
    }
    Count();
  }
  return there;
}

// The object stays in the index, so that whoever gets it hears of the loss, until it is deleted.
void Spiller::LoseObject(const Read& read, const Error& why) {
  RAYLET_LOG(kError, "object ", read.id.hex(), " is lost: ", why.message);
  table_.index.SetPlace(read.entry, kLostWord);
  Drop(read.place);
  Add(table_.counters().lost_objects, 1);
  table_.events.Lost(table_.NowMs(), read.id, read.bytes);
}

void Spiller::Tick() {
  const TimePoint now = table_.clock().Now();
  for (const uint64_t file : dead_.TakeSurplus(now)) disk_.Remove(file);
  Count();
  bool ended = false;
  while (!restored_.empty() && restored_.front().until <= now) {
    table_.pins.Unhold(restored_.front().entry);
    restored_.pop_front();
    ended = true;
  }
  if (!ended) return;
  choose_again_ = {};
  table_.SweepDying();
}

void Spiller::Count() {
  table_.counters().spill_file_bytes.store(book_.file_bytes() + dead_.bytes(), std::memory_order_relaxed);
}

std::string Spiller::Text() const {
  return StrCat("bytes on disk: ", book_.live_bytes(), ", in ", Counted(book_.files(), "file"), " of ",
                book_.file_bytes(),
                table_.ReserveBesides(0) > 0
                    ? StrCat(", bytes of memory that stay free for their gets: ", table_.ReserveBesides(0))
                    : "",
                book_.writing_bytes() > 0 ? StrCat(", bytes being written: ", book_.writing_bytes()) : "",
                failure_.empty() ? "" : StrCat("; spilling failed: ", failure_));
}

}  // namespace raylet::store
