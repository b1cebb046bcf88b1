// ClusterOwnershipTest: a driver and its daemons on one machine, where nothing must be left at the end.
#pragma once

#include <chrono>
#include <cstddef>

#include "client/plasma/store_client.h"
#include "tests/client/ray/cluster/daemons_fixture.h"
#include "tests/client/ray/cluster/keepers.h"

namespace cluster_test {

class ClusterOwnershipTest : public DaemonsTest {
 protected:
  size_t StoredObjects() const {
    const auto deadline = raylet::Deadline::After(std::chrono::seconds(30));
    auto client = raylet::client::StoreClient::Connect(store_socket_, "test", deadline, false);
    if (!client) return ~size_t{0};
    const auto list = (*client)->List();
    return list ? list->size() : ~size_t{0};
  }
  void NothingIsLeft(size_t actors = 0) {
    EXPECT_TRUE(raylet::test::Eventually(std::chrono::seconds(20), [&] { return StoredObjects() == 0; }))
        << StoredObjects();
    ExpectNothingIsKept(raylet_socket_, actors);
  }
};

}  // namespace cluster_test
