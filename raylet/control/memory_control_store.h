// MemoryControlStore: the control store inside one process, for a raylet alone and for several raylets in a test. Owned
// by main or a test; one thread. Callers give the clock and `later`. Answers go through `later`, which runs work after
// the call that asked for it has returned.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "raylet/control/control_store.h"

namespace raylet {

class MemoryControlStore final : public ControlStore {
 public:
  using PostWork = std::function<void(std::function<void()>)>;

  MemoryControlStore(const Clock& clock, PostWork later) : clock_(clock), later_(std::move(later)) {}
  ~MemoryControlStore() override { *alive_ = false; }

  State state() const override;

  // Faults of a store, for tests. It loses everything; nobody reaches it (calls are kUnavailable at
  // once, since this store has no timers); it comes back.
  void Flush() { cells_.clear(); }
  void SetReachable(bool reachable);

 protected:
  void Change(Cell cell, CellRule rule, Deadline deadline, Done<Changed> done) override;
  void Read(Cell cell, Deadline deadline, Done<CellText> done) override;
  void List(std::string_view kind, std::string prefix, Pick pick, Deadline deadline,
            Done<std::vector<std::string>> done) override;
  void Later(std::function<void()> work) override;

 private:
  struct Held {
    std::string value;
    TimePoint expires = TimePoint::max();
  };
  // Runs the whole of `make` in its turn, as a server would.
  template <class T>
  void Answer(Done<T> done, std::function<Result<T>()> make);
  CellText Now(const std::string& key);

  const Clock& clock_;
  const PostWork later_;
  std::map<std::string, Held> cells_;  // by kind:name
  bool reachable_ = true;
  uint64_t connection_ = 1;
  uint64_t calls_ = 0, refused_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace raylet
