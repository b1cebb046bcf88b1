// Saver: writes checkpoints of one shard in a thread of its own, one at a time, while updates go on. Owned by the
// shard; its thread only. It waits at its end for the file under way.
#pragma once

#include <chrono>
#include <cstddef>
#include <exception>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "client/parameter_server/checkpoint.h"

namespace ray::ps::internal {

class Saver {
 public:
  bool Busy() { return writing_.valid() && writing_.wait_for(std::chrono::seconds(0)) != std::future_status::ready; }

  // Not while it is busy. The owner keeps the parts, which nobody changes. Returns the file's number, from 1 on.
  uint64_t Start(std::string file, const CheckpointOf& of, std::vector<std::span<const std::byte>> parts,
                 std::shared_ptr<const void> owner) {
    Collect();
    writing_ = std::async(std::launch::async, [file = std::move(file), of, parts = std::move(parts),
                                               owner = std::move(owner)] { WriteCheckpoint(file, of, parts); });
    return ++started_;
  }

  // Until no file is under way. Its error is told by Done.
  void Finish() {
    if (writing_.valid()) writing_.wait();
  }

  // Until the last file is written; throws its error.
  void Wait(uint64_t number) {
    Finish();
    Done(number);
  }

  // Whether the file of this number is written. Throws the error of that file, where it is the last one.
  bool Done(uint64_t number) {
    if (Busy()) return number < started_;
    Collect();
    if (number == started_ && failure_ != nullptr) std::rethrow_exception(failure_);
    return true;
  }

 private:
  void Collect() {
    if (!writing_.valid()) return;
    failure_ = nullptr;
    try {
      writing_.get();
    } catch (...) {
      failure_ = std::current_exception();
    }
  }

  std::future<void> writing_;
  std::exception_ptr failure_;  // of the last file
  uint64_t started_ = 0;
};

}  // namespace ray::ps::internal
