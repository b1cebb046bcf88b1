// Checkpoints: one file for each shard, with its parameters, the optimiser's state and a checksum. A file appears whole
// or not at all: it is written beside its name, flushed to the disk, and renamed. UpdateCount is a small file beside
// it. It has the number of steps that a shard has done. So a shard that starts again knows its loss. Pure apart from
// files. All errors are RayExceptions that name the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ray::ps::internal {

// The content of a checkpoint. Everything but run, version and steps has to be equal for a shard to read it.
struct CheckpointOf {
  static constexpr uint64_t kNoKeys = 0, kIntegerKeys = 1, kStringKeys = 2;
  uint64_t keys = kNoKeys;  // which kind of them; kNoKeys: dense parameters
  uint64_t row_size = 1;
  uint64_t shard = 0;
  uint64_t shards = 1;
  uint64_t size = 0;           // elements of this shard, or its rows
  uint64_t element_bytes = 0;  // 4: float, 8: double
  uint64_t optimizer = 0;      // its place in ps::Optimizer
  uint64_t slots = 0;          // arrays of the optimiser's state
  uint64_t run = 0;            // a random number of the server that wrote it
  uint64_t version = 0;
  uint64_t steps = 0;      // of the optimiser
  uint64_t key_bytes = 0;  // of all keys

  friend bool operator==(const CheckpointOf&, const CheckpointOf&) = default;
};

std::string CheckpointPath(const std::string& path, uint64_t shard, uint64_t shards);

// `parts`: the parameters and each slot, of `of.size` elements each. They may live in any memory.
void WriteCheckpoint(const std::string& file, const CheckpointOf& of,
                     const std::vector<std::span<const std::byte>>& parts);

// Checks the file, and reads it into the parts, which have the same sizes. Returns what it is of.
// Throws where it is of something else, truncated, or damaged. The parts hold unspecified bytes then.
CheckpointOf ReadCheckpoint(const std::string& file, const CheckpointOf& wanted,
                            const std::vector<std::span<std::byte>>& parts);

// Throws where what the head says is not what is wanted.
void CheckShape(const std::string& file, const CheckpointOf& head, const CheckpointOf& wanted);
// Throws unless the file has these keys and rows, which are counts from outside.
void CheckFileSize(const std::string& file, uint64_t key_bytes, uint64_t rows, uint64_t row_bytes);

// The head alone, with no look at the rest. False where there is no file.
bool ReadCheckpointHead(const std::string& file, CheckpointOf& of);

// A page of a file that outlives the process, whatever kills it. One thread at a time.
class UpdateCount {
 public:
  struct Counts {
    uint64_t run = 0;
    uint64_t version = 0;
    uint64_t restarts = 0;
    uint64_t workers = 0;  // that SetWorkers named last; 0: those of the policy
  };
  UpdateCount() = default;
  // Opens the file, or makes it with zeros.
  explicit UpdateCount(const std::string& file);
  UpdateCount(UpdateCount&& other) noexcept;
  UpdateCount& operator=(UpdateCount&& other) noexcept;
  ~UpdateCount();

  bool open() const { return counts_ != nullptr; }
  Counts& counts() { return *counts_; }  // what is written here is in the file

 private:
  Counts* counts_ = nullptr;  // mapped
};

}  // namespace ray::ps::internal
