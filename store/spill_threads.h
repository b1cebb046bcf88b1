// SpillThreads: a SpillDisk of real files: one thread writes, copies and removes, another reads, so that a get does not
// wait behind the writes. main owns it; its calls are the loop thread's, and so are the answers.
// Always holds: the loop never waits for the disk. What was asked of one thread is done in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/loop.h"
#include "store/spill_disk.h"
#include "store/spill_folder.h"

namespace raylet::store {

// Memory of the daemon: two threads, and the copy of a shared file.
constexpr uint64_t kSpillThreadsBytes = uint64_t{8} << 20;

// A thread that does one thing after the other. Its end drops what it has not begun.
class WorkThread {
 public:
  WorkThread();
  ~WorkThread();
  WorkThread(const WorkThread&) = delete;
  WorkThread& operator=(const WorkThread&) = delete;
  void Add(std::function<void()> work);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> work_;  // under mutex_
  bool stop_ = false;                       // under mutex_
  std::thread thread_;                      // last: it uses all of the above
};

class SpillThreads final : public SpillDisk {
 public:
  // All of them outlive this. `arena` is the whole arena's memory.
  SpillThreads(Loop& loop, const SpillFolder& folder, std::byte* arena);

  void SetHandler(Handler* handler) override { answers_->handler = handler; }
  void Write(uint64_t file, std::vector<Part> parts) override;
  void Copy(uint64_t from, std::vector<uint32_t> rows, uint64_t file) override;
  void Read(uint64_t read, const DiskPlace& place, const Part& into) override;
  void Remove(uint64_t file) override;

 private:
  // Outlives this in what is posted to the loop. Loop thread only.
  struct Answers {
    Handler* handler = nullptr;
  };
  void Tell(std::function<void(Handler&)> tell) const;

  Loop& loop_;
  const SpillFolder& folder_;
  std::byte* const arena_;
  const std::shared_ptr<Answers> answers_ = std::make_shared<Answers>();
  WorkThread writer_, reader_;  // last: they use all of the above
};

}  // namespace raylet::store
