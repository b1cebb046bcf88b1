// Services: the objects that the desks share. Each is a plain object that knows no desk. Owned by the Raylet, and
// outlives every desk; loop thread only. A desk takes what it needs in its constructor.
#pragma once

#include "base/clock.h"
#include "base/loop.h"
#include "raylet/node/decision_loop.h"
#include "raylet/node/end_notices.h"
#include "raylet/node/host_leases.h"
#include "raylet/node/jobs.h"
#include "raylet/node/peer_post.h"
#include "raylet/node/process_door.h"
#include "raylet/node/worker_house.h"
#include "raylet/objects/store_link.h"

namespace raylet {

struct Services {
  Loop& loop;
  const Clock& clock;
  StoreLink& store;
  PeerPost& post;
  ProcessDoor& door;
  WorkerHouse& house;
  Jobs& jobs;
  DecisionLoop& decisions;
  HostLeases& leases;
  EndNotices& end_notices;
};

}  // namespace raylet
