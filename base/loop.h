// Loop: one libuv loop and the thread that runs it. Call everything here on that thread, except
// Post and Stop.
// Always holds: timers, watchers and signal watchers are move-only owners. Destroying one cancels
// it; its callback never runs afterwards.
// To stop, refuse new work and destroy the handles. Run returns when the last close callback has
// run.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"

struct uv_loop_s;

namespace raylet {

class Loop {
 public:
  Loop();
  ~Loop();  // closes the remaining handles and drains
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  static constexpr size_t kPostedPerTurn = 128;

  void Run();   // until Stop
  void Stop();  // any thread
  // Runs `work` on the loop's thread, in order. A turn runs at most kPostedPerTurn of them, so that
  // I/O gets its share. Any thread. Drops work posted after Stop.
  void Post(std::function<void()> work);
  // Runs `work` before the loop next waits for events, after all events that are ready now. Loop's
  // thread only. Work that `work` asks for runs before that wait too. Dropped when the loop stops
  // first.
  void AtEndOfTurn(std::function<void()> work);
  // Measures turns from now on: how long the loop works without looking for events. `clock` stands still while the
  // thread waits, as a CPU clock does. It outlives the loop. Loop's thread only.
  void MeasureTurns(const Clock& clock);
  Duration TakeLongestTurn();  // since its last call; loop's thread only
  uv_loop_s* raw();

 private:
  friend class EndOfTurn;
  struct State;
  std::unique_ptr<State> state_;
};

// EndOfTurn: work of one owner that it asks for again and again: at the end of this turn, once for all that ask until
// then. It runs as by Loop::AtEndOfTurn, in the order of the first asks, and asking costs no memory. It never runs
// after the EndOfTurn has gone. The loop's thread only.
class EndOfTurn {
 public:
  EndOfTurn(Loop& loop, std::function<void()> work);  // asked only while the loop exists
  ~EndOfTurn();
  EndOfTurn(const EndOfTurn&) = delete;
  EndOfTurn& operator=(const EndOfTurn&) = delete;

  void Ask();

 private:
  friend class Loop;
  struct Work;
  Loop& loop_;
  const std::shared_ptr<Work> work_;  // shared with the loop while it is due
};

namespace loop_internal {

class OwnedHandle;

// HandleOwner: owns one handle of a loop. Destroying it closes the handle, whose callback never runs afterwards. It is
// empty after Close, after a move, and once the loop has ended.
class HandleOwner {
 public:
  HandleOwner() = default;
  explicit HandleOwner(OwnedHandle* handle);
  HandleOwner(HandleOwner&& other) noexcept;
  HandleOwner& operator=(HandleOwner&& other) noexcept;
  ~HandleOwner() { Close(); }
  explicit operator bool() const { return handle_ != nullptr; }
  OwnedHandle* get() const { return handle_; }
  void Close();

 private:
  friend class OwnedHandle;
  void Take(OwnedHandle* handle);
  OwnedHandle* handle_ = nullptr;
};

}  // namespace loop_internal

// Counts time in which the loop runs. A loop whose process was stopped or had no CPU finds its timers late and its
// sockets full. A late timer therefore waits for a part of its time once more, in which the loop serves the sockets. A
// second stall in a row counts in full, so that a timer fires on the slowest machine, too.
class Timer {
 public:
  Timer() = default;
  // Fires once after `delay`, then every `repeat` unless `repeat` is zero. A stall of the loop extends
  // `delay` by the time that it took. A repeated timer that a stall made late fires soon after it.
  Timer(Loop& loop, std::chrono::milliseconds delay, std::chrono::milliseconds repeat, std::function<void()> fire);
  explicit operator bool() const { return bool(handle_); }
  void Cancel() { handle_.Close(); }

 private:
  struct Handle;
  loop_internal::HandleOwner handle_;
};

// Watches a descriptor that another object owns and that outlives the watcher.
class FdWatcher {
 public:
  struct Events {
    bool readable = false;
    bool writable = false;
  };
  FdWatcher() = default;
  FdWatcher(Loop& loop, int fd, std::function<void(Events)> ready);
  explicit operator bool() const { return bool(handle_); }
  void Watch(Events wanted);  // none: stops watching
  void Cancel() { handle_.Close(); }

 private:
  struct Handle;
  loop_internal::HandleOwner handle_;
};

// While it is started, the loop does not wait for events: it looks at them once a turn, and calls `work` in between.
class BusyTurns {
 public:
  BusyTurns() = default;
  BusyTurns(Loop& loop, std::function<void()> work);
  void Start();
  void Stop();

 private:
  struct Handle;
  loop_internal::HandleOwner handle_;
};

class SignalWatcher {
 public:
  SignalWatcher() = default;
  SignalWatcher(Loop& loop, int signal, std::function<void()> raised);

 private:
  struct Handle;
  loop_internal::HandleOwner handle_;
};

}  // namespace raylet
