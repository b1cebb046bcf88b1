// RelayEnd: one process's end of a relayed call channel: the rings that it shares with this raylet, which plays the
// other side. Owned by the ChannelRelay; loop thread only. Always holds: records for the process wait here in order
// while its ring is full, at most kRelayWaitingBytesMax of them; nothing is read of a process that wrote nonsense.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <span>

#include "base/bell.h"
#include "base/loop.h"
#include "base/ring.h"
#include "fbs/call_record.h"
#include "fbs/messages.h"

namespace raylet {

// Records of one direction that may be on their way, counted with 8 bytes each for size and type.
constexpr size_t kRelayWindowBytes = kChannelRingBytes;
constexpr size_t kRelayRecordBytesMax = kChannelRingBytes / 4;
constexpr size_t kRelayBatchBytes = size_t{256} << 10;  // of records in one message
// A sender stops once the window is used up, and may have gone past it by one record.
constexpr size_t kRelayWaitingBytesMax = kRelayWindowBytes + kRelayRecordBytesMax + 8;

struct RelayRecord {
  uint32_t type = 0;
  std::span<const std::byte> bytes;
  size_t counted() const { return bytes.size() + 8; }
};

void AppendRelayRecord(std::vector<uint8_t>& out, const RelayRecord& record);
// Calls `each` with views into `records`; kProtocolError unless they are whole records that fit into a ring.
Result<void> EachRelayRecord(std::span<const uint8_t> records,
                             const std::function<Result<void>(const RelayRecord&)>& each);

class RelayEnd {
 public:
  enum class Process { kCaller, kWorker };
  // What goes to the process: the channel's memory, and what it is to ring.
  struct Descriptors {
    UniqueFd channel;
    UniqueFd bell;
  };
  // `doorbell` is the process's. `rung` is called from the loop whenever the process has written or taken something.
  static Result<std::unique_ptr<RelayEnd>> Make(Loop& loop, Process process, const std::string& name,
                                                const UniqueFd& doorbell, std::function<void()> rung,
                                                Descriptors& descriptors);

  // The next of the process's records; nothing where there is none. kProtocolError where it makes no sense.
  Result<std::optional<RelayRecord>> Peek();
  void Pop() { from_process_.Pop(); }

  // Hands the record over, now or when there is room. kProtocolError where more wait than may.
  Result<void> Push(const RelayRecord& record);
  // Hands over what waits, as far as there is room. `handed` is called for each.
  using Handed = std::function<void(const RelayRecord&)>;
  void Flush(const Handed& handed);
  bool waits() const { return !waiting_.empty(); }
  bool broken() const { return to_process_.broken(); }  // it wrote nonsense: it takes nothing any more
  // What it has not been handed, which it will not be.
  void Drop(const Handed& dropped);
  void Quiet() { watcher_.Watch({}); }  // `rung` is not called any more

 private:
  struct Waiting {
    uint32_t type = 0;
    Bytes bytes;
  };
  RelayEnd(Loop& loop, UniqueFd event, std::function<void()> rung);
  void OnEvent(const std::function<void()>& rung);

  Mapping memory_;
  RingConsumer from_process_;
  RingProducer to_process_;
  Bell bell_;
  UniqueFd event_;
  FdWatcher watcher_;  // after event_: stops before it closes
  std::deque<Waiting> waiting_;
  size_t waiting_bytes_ = 0;
};

}  // namespace raylet
