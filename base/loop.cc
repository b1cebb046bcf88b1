#include "base/loop.h"

#include <uv.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <iterator>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/check.h"
#include "base/mutex.h"

namespace raylet {
namespace loop_internal {

// The value of uv_loop_t::data. Every handle is in `open` until its owner, or the loop's end,
// closes it.
struct HandleTable {
  std::unordered_set<OwnedHandle*> open;
  size_t closing = 0;  // close callbacks still to come
};

HandleTable& TableOf(uv_loop_t* loop) { return *static_cast<HandleTable*>(loop->data); }

// A uv handle on the heap. It and its owner point at each other until Close separates them. From
// then on no callback of the owner runs. libuv may still touch the memory until the close callback,
// which alone frees it.
class OwnedHandle {
 public:
  OwnedHandle(const OwnedHandle&) = delete;
  OwnedHandle& operator=(const OwnedHandle&) = delete;
  virtual ~OwnedHandle() = default;

  void Close() {
    if (owner_ != nullptr) std::exchange(owner_, nullptr)->handle_ = nullptr;
    HandleTable& table = TableOf(raw()->loop);
    table.open.erase(this);
    ++table.closing;
    uv_close(raw(), [](uv_handle_t* handle) {
      --TableOf(handle->loop).closing;
      delete static_cast<OwnedHandle*>(handle->data);
    });
  }
  bool owned() const { return owner_ != nullptr; }

 protected:
  OwnedHandle() = default;
  void Opened() {
    raw()->data = this;
    TableOf(raw()->loop).open.insert(this);
  }
  virtual uv_handle_t* raw() = 0;

 private:
  friend class HandleOwner;
  HandleOwner* owner_ = nullptr;
};

HandleOwner::HandleOwner(OwnedHandle* handle) { Take(handle); }

HandleOwner::HandleOwner(HandleOwner&& other) noexcept { Take(std::exchange(other.handle_, nullptr)); }

HandleOwner& HandleOwner::operator=(HandleOwner&& other) noexcept {
  if (this != &other) {
    Close();
    Take(std::exchange(other.handle_, nullptr));
  }
  return *this;
}

void HandleOwner::Take(OwnedHandle* handle) {
  handle_ = handle;
  if (handle != nullptr) handle->owner_ = this;
}

void HandleOwner::Close() {
  if (handle_ != nullptr) handle_->Close();
}

// Uv is a type such as uv_timer_t, and Callback is called with each event.
template <class Uv, class Callback>
class HandleOf : public OwnedHandle {
 public:
  Uv uv{};
  Callback callback;

 protected:
  explicit HandleOf(Callback with) : callback(std::move(with)) {}
  uv_handle_t* raw() override { return reinterpret_cast<uv_handle_t*>(&uv); }
};

void CheckUv(int status, const char* what) {
  RAYLET_CHECK(status == 0, what, " failed: ", status == 0 ? "" : uv_strerror(status));
}

}  // namespace loop_internal

using loop_internal::CheckUv;
using loop_internal::HandleOf;
using loop_internal::HandleTable;
using loop_internal::OwnedHandle;

struct EndOfTurn::Work {
  std::function<void()> run;
  bool due = false;
  bool gone = false;  // with its EndOfTurn
};

struct Loop::State {
  // At the end of a turn: work that is asked for once, or that of an EndOfTurn.
  struct Due {
    std::function<void()> once;
    std::shared_ptr<EndOfTurn::Work> owned;
  };

  uv_loop_t loop{};
  uv_async_t wake{};
  uv_check_t after_events{};      // these two run while work is due, so that
  uv_prepare_t before_waiting{};  // the loop does not wait in between
  std::vector<Due> due;           // loop's thread; in order
  std::vector<Due> running;       // in RunDue; kept for its memory
  HandleTable handles;
  uv_prepare_t turn_ends{};             // runs while turns are measured
  const Clock* turn_clock = nullptr;    // while turns are measured
  std::optional<TimePoint> turn_began;  // loop's thread, as the next one
  Duration longest_turn = Duration::zero();
  bool ran = false;  // Run has returned; loop's thread

  Mutex mutex;
  std::deque<std::function<void()>> posted RAYLET_GUARDED_BY(mutex);  // in order
  bool stopped RAYLET_GUARDED_BY(mutex) = false;                      // never taken back

  // Runs up to kPostedPerTurn of the posted work; before the loop stops, all of it. Work that this
  // work posts runs in a later turn.
  void RunPosted() {
    std::vector<std::function<void()>> work;
    bool stop = false;
    {
      const MutexLock lock(mutex);
      stop = stopped;
      const size_t count = stop ? posted.size() : std::min(posted.size(), kPostedPerTurn);
      const auto end = posted.begin() + static_cast<std::ptrdiff_t>(count);
      work.assign(std::make_move_iterator(posted.begin()), std::make_move_iterator(end));
      posted.erase(posted.begin(), end);
      if (!posted.empty()) uv_async_send(&wake);
    }
    for (auto& item : work) {
      item();
      item = nullptr;  // destroys its captures now, not after the other work
    }
    if (stop) uv_stop(&loop);
  }

  void EndTurn() {
    const TimePoint now = turn_clock->Now();
    if (turn_began) longest_turn = std::max(longest_turn, now - *turn_began);
    turn_began = now;
  }

  void StopDue() {
    uv_check_stop(&after_events);
    uv_prepare_stop(&before_waiting);
  }

  void AddDue(Due work) {
    due.push_back(std::move(work));
    if (due.size() > 1) return;
    uv_check_start(&after_events, [](uv_check_t* check) { static_cast<State*>(check->data)->RunDue(); });
    uv_prepare_start(&before_waiting, [](uv_prepare_t* prepare) { static_cast<State*>(prepare->data)->RunDue(); });
  }

  void RunDue() {
    while (!due.empty()) {
      running.swap(due);
      for (Due& item : running) {
        Run(item);
        item = {};  // destroys its captures now, not after the other work
      }
      running.clear();
    }
    StopDue();
  }

  static void Run(const Due& item) {
    if (item.owned == nullptr) return item.once();
    item.owned->due = false;
    if (!item.owned->gone) item.owned->run();
  }
};

Loop::Loop() : state_(std::make_unique<State>()) {
  CheckUv(uv_loop_init(&state_->loop), "uv_loop_init");
  state_->loop.data = &state_->handles;
  CheckUv(uv_async_init(&state_->loop, &state_->wake,
                        [](uv_async_t* wake) { static_cast<State*>(wake->data)->RunPosted(); }),
          "uv_async_init");
  state_->wake.data = state_.get();
  CheckUv(uv_prepare_init(&state_->loop, &state_->before_waiting), "uv_prepare_init");
  state_->before_waiting.data = state_.get();
  CheckUv(uv_check_init(&state_->loop, &state_->after_events), "uv_check_init");
  state_->after_events.data = state_.get();
  CheckUv(uv_prepare_init(&state_->loop, &state_->turn_ends), "uv_prepare_init");
  state_->turn_ends.data = state_.get();
}

Loop::~Loop() {
  std::deque<std::function<void()>> dropped;
  {
    const MutexLock lock(state_->mutex);
    state_->stopped = true;
    dropped.swap(state_->posted);
  }
  dropped.clear();
  state_->StopDue();
  std::exchange(state_->due, {}).clear();
  while (!state_->handles.open.empty()) (*state_->handles.open.begin())->Close();
  // Left to close: our wake-up and handles opened through raw(). Closing ours may already have
  // released such handles.
  uv_walk(
      &state_->loop,
      [](uv_handle_t* handle, void*) {
        if (uv_is_closing(handle) == 0) uv_close(handle, nullptr);
      },
      nullptr);
  while (uv_loop_close(&state_->loop) == UV_EBUSY) {
    // The destructors of a callback's captures may have opened or closed more handles.
    while (!state_->handles.open.empty()) (*state_->handles.open.begin())->Close();
    uv_run(&state_->loop, UV_RUN_DEFAULT);
  }
}

void Loop::Run() {
  if (state_->turn_clock != nullptr) state_->turn_began = state_->turn_clock->Now();  // timers may be due at once
  if (std::exchange(state_->ran, true)) return;
  uv_run(&state_->loop, UV_RUN_DEFAULT);
  while (state_->handles.closing > 0) uv_run(&state_->loop, UV_RUN_NOWAIT);
}

void Loop::Stop() {
  // Sends the wake-up under the lock. Otherwise the owner could see `stopped`, destroy the loop,
  // and leave a dead handle here.
  const MutexLock lock(state_->mutex);
  if (std::exchange(state_->stopped, true)) return;
  uv_async_send(&state_->wake);
}

void Loop::Post(std::function<void()> work) {
  const MutexLock lock(state_->mutex);
  if (state_->stopped) return;
  state_->posted.push_back(std::move(work));
  if (state_->posted.size() == 1) uv_async_send(&state_->wake);
}

void Loop::AtEndOfTurn(std::function<void()> work) { state_->AddDue({std::move(work), nullptr}); }

void Loop::MeasureTurns(const Clock& clock) {
  state_->turn_clock = &clock;
  uv_prepare_start(&state_->turn_ends, [](uv_prepare_t* turn) { static_cast<State*>(turn->data)->EndTurn(); });
}

Duration Loop::TakeLongestTurn() { return std::exchange(state_->longest_turn, Duration::zero()); }

uv_loop_s* Loop::raw() { return &state_->loop; }

// EndOfTurn

EndOfTurn::EndOfTurn(Loop& loop, std::function<void()> work)
    : loop_(loop), work_(std::make_shared<Work>(Work{std::move(work)})) {}

EndOfTurn::~EndOfTurn() { work_->gone = true; }

void EndOfTurn::Ask() {
  if (!std::exchange(work_->due, true)) loop_.state_->AddDue({nullptr, work_});
}

// Timer

// A timer that is later than this has met a stall. A busy machine is late by less.
constexpr uint64_t kStallMinMs = 200;
// A long delay passes in slices, and a stall takes half of one at most.
constexpr uint64_t kSliceMinMs = 100, kSliceMaxMs = 1000;
// The loop serves its sockets for at least this long between a stall and a timer that it made late.
constexpr uint64_t kServeMs = 50;

struct Timer::Handle : HandleOf<uv_timer_t, std::function<void()>> {
  Handle(uv_loop_t* loop, std::function<void()> fire) : HandleOf(std::move(fire)) {
    CheckUv(uv_timer_init(loop, &uv), "uv_timer_init");
    Opened();
  }

  void Start(uint64_t delay, uint64_t repeat) {
    repeat_ms = repeat;
    left_ms = delay;
    slice_ms = std::clamp(delay / 4, kSliceMinMs, kSliceMaxMs);
    Wait();
  }
  void Wait() {
    asked_ms = std::min(left_ms, slice_ms);
    began_ms = uv_now(uv.loop);
    CheckUv(uv_timer_start(&uv, &Handle::Woke, asked_ms, 0), "uv_timer_start");
  }
  static void Woke(uv_timer_t* timer) {
    auto* const handle = static_cast<Handle*>(static_cast<OwnedHandle*>(timer->data));
    if (handle->owned()) handle->SliceIsOver();
  }
  void SliceIsOver() {
    const uint64_t elapsed_ms = uv_now(uv.loop) - began_ms;
    const bool stalled = elapsed_ms > asked_ms + std::max(kStallMinMs, asked_ms);
    if (stalled && !std::exchange(after_stall, stalled)) {
      left_ms = std::max(left_ms - asked_ms / 2, kServeMs);
      if (repeating) left_ms = std::min(left_ms, std::max(asked_ms / 2, kServeMs));
      return Wait();
    }
    after_stall = stalled;
    left_ms -= std::min(left_ms, stalled ? asked_ms : elapsed_ms);
    if (left_ms > 0) return Wait();
    if (repeat_ms > 0) {
      repeating = true;
      left_ms = repeat_ms;
      slice_ms = kSliceMaxMs;
      Wait();
    }
    callback();
  }

  uint64_t repeat_ms = 0;
  uint64_t left_ms = 0;                 // until it fires; of these the slice under way is a part
  uint64_t slice_ms = 0;                // at most
  uint64_t asked_ms = 0, began_ms = 0;  // of the slice under way
  bool repeating = false;               // has fired, and will again
  bool after_stall = false;             // the slice before this one was overslept
};

Timer::Timer(Loop& loop, std::chrono::milliseconds delay, std::chrono::milliseconds repeat, std::function<void()> fire)
    : handle_(new Handle(loop.raw(), std::move(fire))) {
  uv_update_time(loop.raw());  // a long turn so far must not shorten the delay
  const auto count = [](std::chrono::milliseconds time) {
    return static_cast<uint64_t>(time.count() < 0 ? 0 : time.count());
  };
  static_cast<Handle*>(handle_.get())->Start(count(delay), count(repeat));
}

// FdWatcher

struct FdWatcher::Handle : HandleOf<uv_poll_t, std::function<void(FdWatcher::Events)>> {
  Handle(uv_loop_t* loop, int fd, std::function<void(Events)> ready) : HandleOf(std::move(ready)) {
    CheckUv(uv_poll_init(loop, &uv, fd), "uv_poll_init");
    Opened();
  }
  static void Ready(uv_poll_t* poll, int status, int events) {
    auto* const handle = static_cast<Handle*>(static_cast<OwnedHandle*>(poll->data));
    if (!handle->owned()) return;
    if (status < 0) handle->watched = 0;  // libuv has stopped it
    // A broken descriptor counts as readable: the read reports the error.
    handle->callback({status < 0 || (events & UV_READABLE) != 0, status == 0 && (events & UV_WRITABLE) != 0});
  }
  int watched = 0;  // UV_READABLE, UV_WRITABLE
};

FdWatcher::FdWatcher(Loop& loop, int fd, std::function<void(Events)> ready)
    : handle_(new Handle(loop.raw(), fd, std::move(ready))) {}

void FdWatcher::Watch(Events wanted) {
  RAYLET_CHECK(bool(handle_), "this watcher was cancelled");
  Handle& handle = *static_cast<Handle*>(handle_.get());
  const int events = (wanted.readable ? UV_READABLE : 0) | (wanted.writable ? UV_WRITABLE : 0);
  if (events == handle.watched) return;  // libuv would call the kernel even without a change
  handle.watched = events;
  CheckUv(events == 0 ? uv_poll_stop(&handle.uv) : uv_poll_start(&handle.uv, events, &Handle::Ready), "uv_poll_start");
}

// BusyTurns

struct BusyTurns::Handle : HandleOf<uv_idle_t, std::function<void()>> {
  Handle(uv_loop_t* loop, std::function<void()> work) : HandleOf(std::move(work)) {
    CheckUv(uv_idle_init(loop, &uv), "uv_idle_init");
    Opened();
  }
  static void Turn(uv_idle_t* idle) {
    auto* const handle = static_cast<Handle*>(static_cast<OwnedHandle*>(idle->data));
    if (handle->owned()) handle->callback();
  }
};

BusyTurns::BusyTurns(Loop& loop, std::function<void()> work) : handle_(new Handle(loop.raw(), std::move(work))) {}

void BusyTurns::Start() {
  CheckUv(uv_idle_start(&static_cast<Handle*>(handle_.get())->uv, &Handle::Turn), "uv_idle_start");
}
void BusyTurns::Stop() { CheckUv(uv_idle_stop(&static_cast<Handle*>(handle_.get())->uv), "uv_idle_stop"); }

// SignalWatcher

struct SignalWatcher::Handle : HandleOf<uv_signal_t, std::function<void()>> {
  Handle(uv_loop_t* loop, std::function<void()> raised) : HandleOf(std::move(raised)) {
    CheckUv(uv_signal_init(loop, &uv), "uv_signal_init");
    Opened();
  }
  static void Raised(uv_signal_t* signal, int) {
    auto* const handle = static_cast<Handle*>(static_cast<OwnedHandle*>(signal->data));
    if (handle->owned()) handle->callback();
  }
};

SignalWatcher::SignalWatcher(Loop& loop, int signal, std::function<void()> raised)
    : handle_(new Handle(loop.raw(), std::move(raised))) {
  CheckUv(uv_signal_start(&static_cast<Handle*>(handle_.get())->uv, &Handle::Raised, signal), "uv_signal_start");
}

}  // namespace raylet
