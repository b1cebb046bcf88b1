// The number ranges of the messages between raylets, by subject. A raylet routes a message by its
// subject. Pure.
// Always holds: each subject's enum lies in its range, and no two ranges overlap. The compiler
// checks both.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "fbs/peer_actor_generated.h"
#include "fbs/peer_channel_generated.h"
#include "fbs/peer_generated.h"
#include "fbs/peer_group_generated.h"
#include "fbs/peer_object_generated.h"
#include "fbs/peer_work_generated.h"

namespace raylet {

enum class PeerSubject : uint8_t {
  kSession,   // wire::PeerMessage: the session's own messages, which carry no session number
  kChannels,  // wire::ChannelMessage
  kObjects,   // wire::ObjectMessage
  kBulk,      // wire::BulkMessage: on bulk connections only
  kWork,      // wire::WorkMessage: tasks and jobs
  kActors,    // wire::ActorMessage
  kGroups,    // wire::GroupMessage: placement groups
};

struct PeerMessageRange {
  PeerSubject subject;
  uint16_t first, last;  // both belong to the range
};

// In the order of PeerSubject, which is the order of the numbers.
constexpr std::array<PeerMessageRange, 7> kPeerMessageRanges{{
    {PeerSubject::kSession, 1, 19},
    {PeerSubject::kChannels, 20, 39},
    {PeerSubject::kObjects, 40, 49},
    {PeerSubject::kBulk, 50, 59},
    {PeerSubject::kWork, 60, 79},
    {PeerSubject::kActors, 80, 99},
    {PeerSubject::kGroups, 100, 119},
}};

// Session messages from this type on are numbered.
constexpr uint16_t kPeerNumberedMin = kPeerMessageRanges[static_cast<size_t>(PeerSubject::kSession)].last + 1;

constexpr std::optional<PeerSubject> SubjectOf(uint16_t type) {
  for (const PeerMessageRange& range : kPeerMessageRanges)
    if (range.first <= type && type <= range.last) return range.subject;
  return std::nullopt;
}

namespace peer_messages_internal {

constexpr bool InOrder() {
  for (size_t i = 0; i < kPeerMessageRanges.size(); ++i) {
    const PeerMessageRange& range = kPeerMessageRanges[i];
    if (range.subject != static_cast<PeerSubject>(i) || range.first > range.last) return false;
    if (i > 0 && kPeerMessageRanges[i - 1].last >= range.first) return false;
  }
  return true;
}
template <class Message>
constexpr bool LiesIn(PeerSubject subject, Message first) {
  return SubjectOf(static_cast<uint16_t>(first)) == subject &&
         SubjectOf(static_cast<uint16_t>(Message::MAX)) == subject;
}

static_assert(InOrder(), "give each subject a range of its own, in the order of PeerSubject");
static_assert(LiesIn(PeerSubject::kSession, wire::PeerMessage::Hello));  // its MIN is None, which is never sent
static_assert(LiesIn(PeerSubject::kChannels, wire::ChannelMessage::MIN));
static_assert(LiesIn(PeerSubject::kObjects, wire::ObjectMessage::MIN));
static_assert(LiesIn(PeerSubject::kBulk, wire::BulkMessage::MIN));
static_assert(LiesIn(PeerSubject::kWork, wire::WorkMessage::MIN));
static_assert(LiesIn(PeerSubject::kActors, wire::ActorMessage::MIN));
static_assert(LiesIn(PeerSubject::kGroups, wire::GroupMessage::MIN));

}  // namespace peer_messages_internal

}  // namespace raylet
