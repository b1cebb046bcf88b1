// SpillThreads: a SpillDisk of real files. Two threads write and copy: one computes a checksum while the other writes.
// Two others read, so that a get does not wait behind the writes, and one removes, since that waits for what the
// machine is writing back. main owns it; its calls are the loop thread's, and so are the answers.
// Always holds: the loop never waits for the disk. What was asked of each kind of thread begins in order.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/loop.h"
#include "store/spill_disk.h"
#include "store/spill_folder.h"

namespace raylet::store {

// Memory of the daemon: the threads, and the copy of a shared file.
constexpr uint64_t kSpillThreadsBytes = uint64_t{8} << 20;

// Threads that do one thing after the other. Their end drops what they have not begun.
class WorkThreads {
 public:
  explicit WorkThreads(size_t count);
  ~WorkThreads();
  WorkThreads(const WorkThreads&) = delete;
  WorkThreads& operator=(const WorkThreads&) = delete;
  void Add(std::function<void()> work);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;  // under mutex_
  bool stop_ = false;                       // under mutex_
  std::vector<std::thread> threads_;        // last: they use all of the above
};

class SpillThreads final : public SpillDisk {
 public:
  // All of them outlive this. `arena` is the whole arena's memory.
  SpillThreads(Loop& loop, const SpillFolder& folder, std::byte* arena);

  void SetHandler(Handler* handler) override { answers_->handler = handler; }
  void Write(uint64_t file, std::vector<Part> parts, std::vector<uint64_t> replaced) override;
  void Copy(uint64_t from, std::vector<uint32_t> rows, uint64_t file, std::vector<uint64_t> replaced) override;
  void Read(uint64_t read, const DiskPlace& place, const Part& into) override;
  void Remove(uint64_t file) override;

 private:
  // Outlives this in what is posted to the loop. Loop thread only.
  struct Answers {
    Handler* handler = nullptr;
  };
  void Tell(std::function<void(Handler&)> tell) const;
  void Replace(const std::vector<uint64_t>& replaced, const std::string& path) const;

  Loop& loop_;
  const SpillFolder& folder_;
  std::byte* const arena_;
  const std::shared_ptr<Answers> answers_ = std::make_shared<Answers>();
  WorkThreads writers_{2}, readers_{2}, remover_{1};  // last: they use all of the above
};

}  // namespace raylet::store
