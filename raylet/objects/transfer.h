// ObjectTransfer: objects between this machine and the others, as the raylet sees it: it asks for objects and hears
// once they are here, and carries what is to be said about them. Owned by the raylet; its loop's thread. What to pull
// from whom is decided here, by a PullQueue; the bytes move on a thread of their own, with an ObjectSender and an
// ObjectReceiver, so that neither a copy nor the store's answer holds up the raylet's loop.
// Always holds: the handler is called from the loop and never from inside a call of this class. All that is asked in
// one turn of the loop is carried out together, in its next turn.
#pragma once

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
  // A connection over which nothing has been pulled for so long is closed.
  Duration idle_max = std::chrono::seconds(30);
  PullLimits pulls;
  ObjectReceiverLimits receiver;
  ObjectSenderLimits sender;
};

class ObjectTransfer {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // Ask the owners' raylets where these are; the answers come to Found.
    virtual void OnLocate(std::vector<LocateObject> objects) = 0;
    // Dial a bulk connection to this node; the answer comes to Dialled.
    virtual void OnDial(const NodeId& node) = 0;
    // A copy came from another machine and is sealed; its owner wants to know. Pinned while `view` lives, which may be
    // of nothing where the object was evicted already.
    virtual void OnCopied(const ObjectId& object, uint64_t bytes, client::ObjectView view) = 0;
    virtual void OnHere(const ObjectId& object, const std::vector<PullAsker>& askers) = 0;  // after OnCopied
    virtual void OnFailed(const ObjectId& object, PullAsker asker, const Error& why) = 0;
  };

  // `loop`, `clock` and `handler` outlive it. `store` is for this alone, for its calls wait.
  ObjectTransfer(Loop& loop, const Clock& clock, const NodeId& own, std::shared_ptr<client::StoreClient> store,
                 Handler& handler, ObjectTransferLimits limits = {});
  ~ObjectTransfer();  // ends the thread; calls nobody

  // ---- as PullQueue
  Result<void> Ask(const ObjectId& object, PullAsker asker, PullPriority priority, Deadline deadline);
  void Cancel(const ObjectId& object, PullAsker asker);
  void AskerGone(PullAsker asker);
  void SealedHere(const ObjectId& object);
  void OwnerGone(ProcessId owner, const Error& why);
  void OwnersGone(uint32_t process_base, const Error& why);
  std::string WhyWaiting(const ObjectId& object) const { return queue_.WhyWaiting(object); }

  // ---- what other raylets say
  void Found(const wire::CopiesFoundT& found);
  void Lost(const ObjectId& object, const Error& why);  // there will be none
  void Free(std::span<const ObjectId> objects);         // their owner's word: the copies here go
  // These processes have gone: what is in the store here of what they owned goes. What comes from now on may stay.
  void FreeAllOf(uint32_t process_base);
  void NodeGone(const NodeId& node);  // its connections close, too
  // The answer to OnDial. The descriptor is of an open, authenticated connection.
  void Dialled(const NodeId& node, Result<UniqueFd> fd);
  // That node dialled us: it pulls.
  void Serve(const NodeId& node, UniqueFd fd);

  // ---- for stats
  const PullQueue& queue() const { return queue_; }
  size_t sources() const { return sources_.size(); }  // nodes that we are connected to, or dial, to pull
  const ObjectReceiver::Counters& received() const { return receiver_->counters(); }
  const ObjectSender::Counters& sent() const { return sender_->counters(); }

 private:
  struct Event;
  struct Inbox;
  class ThreadEnd;
  // A node that we pull from.
  struct Source {
    bool connected = false;                   // else being dialled
    std::vector<StartPull> wait;              // for the connection
    TimePoint idle_since = TimePoint::max();  // connected, and nothing is pulled from there
  };
  using Command = std::function<void(ObjectReceiver&)>;

  void Delete(std::vector<ObjectId> objects);
  void CarrySoon();
  void Carry();
  void TakeEvents();
  void Start(StartPull start, std::vector<Command>& commands);
  void ToThread(std::vector<Command> commands);
  TimePoint CloseIdle(std::vector<Command>& commands);
  void ArmTimer(TimePoint next);

  Loop& loop_;
  const Clock& clock_;
  Handler& handler_;
  const ObjectTransferLimits limits_;
  const std::shared_ptr<client::StoreClient> store_;
  PullQueue queue_;
  std::map<NodeId, Source> sources_;
  bool carry_posted_ = false;
  Timer timer_;
  TimePoint timer_at_ = TimePoint::max();
  const std::shared_ptr<Inbox> inbox_;  // outlives this in what is posted
  std::unique_ptr<ThreadEnd> thread_end_;
  std::optional<ObjectSender> sender_;      // used on the thread; their counters anywhere
  std::optional<ObjectReceiver> receiver_;  // used on the thread
  LoopThread thread_;
};

}  // namespace raylet
