// A disk of spilled objects in memory. It does what it was asked for when a test says so, and fails where a test wants
// it.
#pragma once

#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "store/spill_disk.h"
#include "store/spill_file.h"

namespace raylet::store {

class FakeSpillDisk final : public SpillDisk {
 public:
  struct Row {
    Part part;
    std::vector<std::byte> bytes;
  };
  using Files = std::map<uint64_t, std::vector<Row>>;

  explicit FakeSpillDisk(std::byte* arena) : arena_(arena) {}

  void SetHandler(Handler* handler) override { handler_ = handler; }
  void Write(uint64_t file, std::vector<Part> parts, std::vector<uint64_t> replaced) override {
    writes_.push_back([this, file, parts = std::move(parts), replaced = std::move(replaced)] {
      for (const uint64_t dead : replaced) Take(dead);
      if (fails_writes) {
        handler_->OnWritten(file, Fail(ErrorCode::kIo, "cannot write a file: No space left on device"));
        return;
      }
      std::vector<Row>& rows = files[file];
      for (const Part& part : parts) {
        const std::byte* const begin = arena_ + part.offset;
        rows.push_back({part, {begin, begin + SpilledBytes(part.data_bytes, part.metadata_bytes)}});
      }
      handler_->OnWritten(file, BytesOf(rows));
    });
  }
  void Copy(uint64_t from, std::vector<uint32_t> rows, uint64_t file, std::vector<uint64_t> replaced) override {
    writes_.push_back([this, from, rows = std::move(rows), file, replaced = std::move(replaced)] {
      for (const uint64_t dead : replaced) Take(dead);
      if (fails_writes) {
        handler_->OnWritten(file, Fail(ErrorCode::kIo, "cannot write a file: No space left on device"));
        return;
      }
      std::vector<Row> copied;
      for (const uint32_t row : rows) copied.push_back(files.at(from).at(row));
      files[file] = copied;
      handler_->OnWritten(file, BytesOf(copied));
    });
  }
  void Read(uint64_t read, const DiskPlace& place, const Part& into) override {
    reads_.push_back([this, read, place, into] {
      const auto file = files.find(place.file);
      if (file == files.end()) {
        handler_->OnRead(read, Fail(ErrorCode::kNotFound, "there is no such file"));
        return;
      }
      const Row& row = file->second.at(place.row);
      const bool good =
          row.part.id == into.id && row.bytes.size() == SpilledBytes(into.data_bytes, into.metadata_bytes);
      if (good && !row.bytes.empty()) std::memcpy(arena_ + into.offset, row.bytes.data(), row.bytes.size());
      handler_->OnRead(read, good ? Result<void>() : Fail(ErrorCode::kProtocolError, "the row is rotten"));
    });
  }
  void Remove(uint64_t file) override {
    writes_.push_back([this, file] { files.erase(file); });
  }

  // The oldest of what one of its two threads was asked for. False: there is nothing.
  bool DoWrite() { return Do(writes_); }
  bool DoRead() { return Do(reads_); }
  void DoAll() {
    while (DoWrite() || DoRead()) {}
  }

  Files files;
  bool fails_writes = false;
  uint64_t replaced_files = 0;  // by others, so far

 private:
  void Take(uint64_t dead) { replaced_files += files.erase(dead); }
  static uint64_t BytesOf(const std::vector<Row>& rows) {
    uint64_t bytes = SpillBodyOffset(rows.size());
    for (const Row& row : rows) bytes += AlignUp(row.bytes.size());
    return bytes;
  }
  static bool Do(std::deque<std::function<void()>>& work) {
    if (work.empty()) return false;
    const auto next = std::move(work.front());
    work.pop_front();
    next();
    return true;
  }

  std::byte* const arena_;
  Handler* handler_ = nullptr;
  std::deque<std::function<void()>> writes_, reads_;
};

}  // namespace raylet::store
