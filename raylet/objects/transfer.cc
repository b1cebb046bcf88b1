#include "raylet/objects/transfer.h"

#include <mutex>
#include <utility>

#include "base/strings.h"
#include "fbs/id_lists.h"

namespace raylet {

// News of the thread for the loop.
struct ObjectTransfer::Event {
  enum class Kind { kPullSized, kPullSealed, kPullEnded, kConnectionGone } kind = Kind::kPullEnded;
  PullNumber pull = 0;
  ObjectId object;
  NodeId node;         // kConnectionGone
  uint64_t bytes = 0;  // kPullSized, kPullSealed: the object's bytes; kPullEnded: the good ones
  client::PinnedObject view;
  Error why;
};

struct ObjectTransfer::Inbox {
  ObjectTransfer* owner = nullptr;  // null once it has gone; loop's thread
  std::mutex mutex;
  std::vector<Event> events;  // under mutex; in order
};

// The receiver's handler. It posts one turn for all events until the loop takes them.
class ObjectTransfer::ThreadEnd final : public ObjectReceiver::Handler {
 public:
  ThreadEnd(Loop& loop, std::shared_ptr<Inbox> inbox) : loop_(loop), inbox_(std::move(inbox)) {}

  void OnPullSized(PullNumber pull, const ObjectId& object, uint64_t bytes) override {
    Add({Event::Kind::kPullSized, pull, object, {}, bytes, {}, {}});
  }
  void OnPullSealed(PullNumber pull, const ObjectId& object, client::PinnedObject view) override {
    const uint64_t bytes = view.data().size() + view.metadata().size();
    Add({Event::Kind::kPullSealed, pull, object, {}, bytes, std::move(view), {}});
  }
  void OnPullEnded(PullNumber pull, const ObjectId& object, const Error& why, uint64_t good_bytes) override {
    Add({Event::Kind::kPullEnded, pull, object, {}, good_bytes, {}, why});
  }
  void OnConnectionGone(const NodeId& node, const Error& why) override {
    Add({Event::Kind::kConnectionGone, 0, {}, node, 0, {}, why});
  }

 private:
  void Add(Event event) {
    const std::lock_guard lock(inbox_->mutex);
    inbox_->events.push_back(std::move(event));
    if (inbox_->events.size() > 1) return;  // a turn is posted
    loop_.Post([inbox = inbox_] {
      if (inbox->owner != nullptr) inbox->owner->TakeEvents();
    });
  }

  Loop& loop_;
  const std::shared_ptr<Inbox> inbox_;
};

ObjectTransfer::ObjectTransfer(Loop& loop, const Clock& clock, const NodeId& own,
                               std::shared_ptr<client::StoreClient> store, BulkDialer dial, Handler& handler,
                               ObjectTransferLimits limits)
    : loop_(loop),
      clock_(clock),
      dial_(std::move(dial)),
      handler_(handler),
      limits_(limits),
      store_(std::move(store)),
      queue_(own, limits.pulls, clock),
      inbox_(std::make_shared<Inbox>()),
      thread_end_(std::make_unique<ThreadEnd>(loop, inbox_)) {
  inbox_->owner = this;
  thread_.Run([&] {
    sender_.emplace(thread_.loop(), store_, limits.sender);
    receiver_.emplace(thread_.loop(), store_, *thread_end_, limits.receiver);
  });
}

ObjectTransfer::~ObjectTransfer() {
  inbox_->owner = nullptr;
  thread_.Run([this] {
    receiver_.reset();
    sender_.reset();
  });
}

// ---- for owners ----

void ObjectTransfer::Located(const wire::LocatedNoticeT& located) {
  std::map<ObjectId, std::pair<std::vector<NodeId>, uint64_t>> copies;
  for (const wire::CopyAt& copy : located.copies) {
    auto& [nodes, bytes] = copies[FromWire<ObjectId>(copy.object())];
    nodes.push_back(FromWire<NodeId>(copy.node()));
    if (copy.bytes() != 0) bytes = copy.bytes();
  }
  for (const auto& [object, where] : copies) queue_.Located(object, where.first, where.second);
  for (const wire::Id20& object : located.none_yet) queue_.Located(FromWire<ObjectId>(object), {}, 0);
  for (const wire::Id20& id : located.lost) {
    const auto object = FromWire<ObjectId>(id);
    queue_.Lost(object, {ErrorCode::kNotFound, StrCat("object ", object.hex(),
                                                      " is gone: it was freed, its owner has ended, or its bytes were ",
                                                      "lost on disk, and no machine has a copy")});
  }
  CarrySoon();
}

void ObjectTransfer::Free(std::span<const ObjectId> objects) {
  for (const ObjectId& object : objects)
    queue_.Lost(object, {ErrorCode::kNotFound, StrCat("object ", object.hex(), " was freed by its owner")});
  CarrySoon();
  Delete({objects.begin(), objects.end()});
}

// On the thread, since the list may be long. A machine that comes back may bring the same objects again: those are
// pulled after this.
void ObjectTransfer::FreeAllOf(MachineNumber machine) {
  thread_.loop().Post([store = store_, machine] {
    const auto all = store->List();
    if (!all) return;  // without a store there is nothing to free
    std::vector<ObjectId> gone;
    for (const client::ObjectInfo& each : *all)
      if (each.sealed && MachineOf(OwnerOf(each.id)) == machine) gone.push_back(each.id);
    (void)store->DeleteAsync(gone);
  });
}

// Deletes on the thread, and so before the thread writes the same objects again.
void ObjectTransfer::Delete(std::vector<ObjectId> objects) {
  if (objects.empty()) return;
  thread_.loop().Post([store = store_, gone = std::move(objects)] {
    (void)store->DeleteAsync(gone);  // without a store there is nothing to free
  });
}

void ObjectTransfer::MachineLost(const NodeId& node, MachineNumber machine, const Error& why) {
  queue_.MachineLost(node, machine, why);
  sources_.erase(node);
  ToThread({[this, node](ObjectReceiver& receiver) {
    const Error gone{ErrorCode::kDisconnected, StrCat("node ", node.hex(), " has gone")};
    receiver.Disconnect(node, gone);
    sender_->Disconnect(node, gone);
  }});
  CarrySoon();
}

// ---- connections ----

void ObjectTransfer::Dialed(const NodeId& node, Result<UniqueFd> fd) {
  const auto source = sources_.find(node);
  if (source == sources_.end() || source->second.connected) return;  // it has gone meanwhile
  std::vector<StartPull> wait = std::exchange(source->second.wait, {});
  if (!fd) {
    sources_.erase(source);
    for (const StartPull& start : wait)
      queue_.PullEnded(start.pull, start.object, {ErrorCode::kDisconnected, fd.error().message}, 0);
  } else {
    source->second.connected = true;
    // A std::function needs captures that can be copied.
    ToThread({[node, shared = std::make_shared<UniqueFd>(*std::move(fd))](ObjectReceiver& receiver) {
      receiver.Connect(node, std::move(*shared));
    }});
    std::vector<Command> commands;
    for (StartPull& start : wait) Start(std::move(start), commands);
    ToThread(std::move(commands));
  }
  CarrySoon();
}

void ObjectTransfer::Serve(const NodeId& node, UniqueFd fd) {
  thread_.loop().Post([this, node, shared = std::make_shared<UniqueFd>(std::move(fd))] {
    if (sender_) sender_->Serve(node, std::move(*shared));
  });
}

void ObjectTransfer::Start(StartPull start, std::vector<Command>& commands) {
  const auto [source, added] = sources_.try_emplace(start.from);
  if (source->second.connected) {
    commands.push_back(
        [start](ObjectReceiver& receiver) { receiver.Pull(start.pull, start.object, start.from, start.priority); });
    return;
  }
  source->second.wait.push_back(start);
  if (added) Dial(start.from);
}

void ObjectTransfer::Dial(const NodeId& node) {
  dial_(node, [inbox = inbox_, node](Result<UniqueFd> fd) {
    if (inbox->owner != nullptr) inbox->owner->Dialed(node, std::move(fd));
  });
}

// ---- carrying out ----

void ObjectTransfer::CarrySoon() {
  if (std::exchange(carry_posted_, true)) return;
  loop_.Post([inbox = inbox_] {
    if (inbox->owner != nullptr) inbox->owner->Carry();
  });
}

void ObjectTransfer::Carry() {
  carry_posted_ = false;
  std::vector<LocateObject> locate;
  std::vector<Command> commands;
  for (PullDecision& decision : queue_.TakeDecisions(kObjectsPerTurn)) {
    if (auto* const located = std::get_if<LocateObject>(&decision)) {
      locate.push_back(std::move(*located));
    } else if (const auto* start = std::get_if<StartPull>(&decision)) {
      Start(*start, commands);
    } else if (const auto* raise = std::get_if<RaisePull>(&decision)) {
      if (const auto source = sources_.find(raise->from); source != sources_.end())
        for (StartPull& waits : source->second.wait)
          if (waits.pull == raise->pull) waits.priority = raise->priority;
      commands.push_back([one = *raise](ObjectReceiver& receiver) { receiver.Raise(one.pull, one.priority); });
    } else if (const auto* stop = std::get_if<StopPull>(&decision)) {
      for (auto& [node, source] : sources_)
        std::erase_if(source.wait, [&](const StartPull& waits) { return waits.object == stop->object; });
      commands.push_back([object = stop->object](ObjectReceiver& receiver) { receiver.Stop(object); });
    } else if (const auto* sealed = std::get_if<TellSealed>(&decision)) {
      handler_.OnSealed(sealed->object, sealed->wanters);
    } else if (const auto* lost = std::get_if<TellLost>(&decision)) {
      handler_.OnLost(lost->wanter, lost->object, lost->why);
    }
  }
  if (queue_.has_decisions()) CarrySoon();
  const TimePoint next_idle = CloseIdle(commands);
  ToThread(std::move(commands));
  if (!locate.empty()) handler_.OnLocate(std::move(locate));
  ArmTimer(std::min(next_idle, queue_.NextTick()));
}

// The loop decides this, because pulls begin here. A pull that begins a moment later dials, and no command for the old
// connection follows its end. Returns when to look again.
TimePoint ObjectTransfer::CloseIdle(std::vector<Command>& commands) {
  const TimePoint now = clock_.Now();
  TimePoint next = TimePoint::max();
  for (auto at = sources_.begin(); at != sources_.end();) {
    const auto& node = at->first;
    Source& source = at->second;
    if (!source.connected || queue_.under_way().From(node) > 0) {
      source.idle_since = TimePoint::max();
    } else if (source.idle_since == TimePoint::max()) {
      source.idle_since = now;
    }
    if (source.idle_since != TimePoint::max() && now - source.idle_since >= limits_.idle_max) {
      commands.push_back([node](ObjectReceiver& receiver) { receiver.CloseIdle(node); });
      at = sources_.erase(at);
      continue;
    }
    if (source.idle_since != TimePoint::max()) next = std::min(next, source.idle_since + limits_.idle_max);
    ++at;
  }
  return next;
}

void ObjectTransfer::ToThread(std::vector<Command> commands) {
  if (commands.empty()) return;
  thread_.loop().Post([this, all = std::move(commands)] {
    if (!receiver_) return;  // the last turn of the thread
    for (const Command& command : all) command(*receiver_);
  });
}

void ObjectTransfer::TakeEvents() {
  std::vector<Event> events;
  {
    const std::lock_guard lock(inbox_->mutex);
    events.swap(inbox_->events);
  }
  for (Event& event : events) {
    switch (event.kind) {
      case Event::Kind::kPullSized: queue_.PullSized(event.pull, event.object, event.bytes); break;
      case Event::Kind::kPullSealed:
        handler_.OnPullSealed(event.object, event.bytes, std::move(event.view));
        queue_.PullSealed(event.pull, event.object);
        break;
      case Event::Kind::kPullEnded: queue_.PullEnded(event.pull, event.object, event.why, event.bytes); break;
      case Event::Kind::kConnectionGone:
        // Ignores the end of a connection that another one has replaced.
        if (const auto source = sources_.find(event.node); source != sources_.end() && source->second.connected)
          sources_.erase(source);
        break;
    }
  }
  Carry();
}

void ObjectTransfer::ArmTimer(TimePoint next) {
  if (next >= timer_at_) return;  // an earlier turn looks again
  timer_at_ = next;
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(std::max(next - clock_.Now(), Duration::zero()));
  timer_ = Timer(loop_, wait, std::chrono::milliseconds(0), [this] {
    timer_at_ = TimePoint::max();
    timer_.Cancel();
    queue_.Tick();
    Carry();
  });
}

}  // namespace raylet
