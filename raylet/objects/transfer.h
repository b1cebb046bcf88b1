// ObjectTransfer: pulls objects that are wanted here from other machines, and serves those that
// other machines pull from here. A PullQueue decides what to pull from which machine. The bytes
// move on a thread with an ObjectReceiver and an ObjectSender, so neither a copy nor the store's
// answer holds up the raylet's loop. Owned by ObjectManager; the raylet's loop thread calls it.
// Always holds: the handler is called from the loop and never from inside a call of this class. The
// events of one turn of the loop are carried out together, in its next turn. Where they are very many,
// they take several turns.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/loop_thread.h"
#include "client/plasma/store_client.h"
#include "raylet/objects/pull_queue.h"
#include "raylet/objects/receiver.h"
#include "raylet/objects/sender.h"

namespace raylet {

struct ObjectTransferLimits {
  // A connection that no pull has used for so long is closed.
  Duration idle_max = std::chrono::seconds(30);
  PullLimits pulls;
  ObjectReceiverLimits receiver;
  ObjectSenderLimits sender;
};

// Dials a connection for objects' bytes to a node, open and authenticated. `done` is called once,
// from the loop.
using BulkDialer = std::function<void(const NodeId& node, std::function<void(Result<UniqueFd>)> done)>;

class ObjectTransfer {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // Locate these at their owners' raylets; the answers come to Located.
    virtual void OnLocate(std::vector<LocateObject> objects) = 0;
    // A copy came from another machine and is sealed. It is pinned while `view` lives, which is
    // empty where the object was evicted already.
    virtual void OnPullSealed(const ObjectId& object, uint64_t bytes, client::PinnedObject view) = 0;
    virtual void OnSealed(const ObjectId& object, const std::vector<Wanter>& wanters) = 0;  // after OnPullSealed
    virtual void OnLost(Wanter wanter, const ObjectId& object, const Error& why) = 0;
  };

  // `loop`, `clock` and `handler` outlive the transfer. Nothing else uses `store`, since its calls wait for the answer.
  ObjectTransfer(Loop& loop, const Clock& clock, const NodeId& own, std::shared_ptr<client::StoreClient> store,
                 BulkDialer dial, Handler& handler, ObjectTransferLimits limits = {});
  ~ObjectTransfer();  // ends the thread; calls nobody

  // For events of the queue, whose decisions are carried out from the loop's next turn on.
  PullQueue& pulls() {
    CarrySoon();
    return queue_;
  }
  void Located(const wire::LocatedNoticeT& located);
  void Free(std::span<const ObjectId> objects);  // drops the copies here: their owner refers to them no more
  // The machine is lost: drops its processes' objects in the store here. Objects that arrive later may stay.
  void FreeAllOf(MachineNumber machine);
  // Its connections close, too. The objects of that machine's processes are lost.
  void MachineLost(const NodeId& node, MachineNumber machine = kNoMachine, const Error& why = {});
  void Serve(const NodeId& node, UniqueFd fd);  // that node dialed this machine: it pulls

  // ---- for stats
  const PullQueue& queue() const { return queue_; }
  size_t sources() const { return sources_.size(); }  // nodes that it is connected to, or dials, to pull
  const ObjectReceiver::Counters& received() const { return receiver_->counters(); }
  const ObjectSender::Counters& sent() const { return sender_->counters(); }

 private:
  struct Event;
  struct Inbox;
  class ThreadEnd;
  // A node to pull from.
  struct Source {
    bool connected = false;                   // else being dialed
    std::vector<StartPull> wait;              // for the connection
    TimePoint idle_since = TimePoint::max();  // connected, and nothing is pulled from there
  };
  using Command = std::function<void(ObjectReceiver&)>;

  void Delete(std::vector<ObjectId> objects);
  void CarrySoon();
  void Carry();
  void TakeEvents();
  void Start(StartPull start, std::vector<Command>& commands);
  void Dial(const NodeId& node);
  void Dialed(const NodeId& node, Result<UniqueFd> fd);
  void ToThread(std::vector<Command> commands);
  TimePoint CloseIdle(std::vector<Command>& commands);
  void ArmTimer(TimePoint next);

  Loop& loop_;
  const Clock& clock_;
  const BulkDialer dial_;
  Handler& handler_;
  const ObjectTransferLimits limits_;
  const std::shared_ptr<client::StoreClient> store_;
  PullQueue queue_;
  std::map<NodeId, Source> sources_;
  bool carry_posted_ = false;
  Timer timer_;
  TimePoint timer_at_ = TimePoint::max();
  const std::shared_ptr<Inbox> inbox_;  // posted work keeps it alive after the transfer
  std::unique_ptr<ThreadEnd> thread_end_;
  std::optional<ObjectSender> sender_;      // used on the thread; their counters anywhere
  std::optional<ObjectReceiver> receiver_;  // used on the thread
  LoopThread thread_;
};

}  // namespace raylet
