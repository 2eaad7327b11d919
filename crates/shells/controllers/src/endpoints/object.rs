//! The legacy Endpoints object of a Service: planning, and what the server answers.

use std::sync::Arc;

use api::Endpoints;
use cluster::RequestError;
use jiff::Timestamp;
use slices::{EndpointsInputs, EndpointsPlan, Part, is_orphan, plan_endpoints};

use super::{Controller, name};
use crate::world::{Key, OwnWrite};
use crate::writes::{delete_endpoints, is_behind, write_endpoints};

/// What a Service waited for is over.
#[derive(Debug)]
pub(super) enum Over {
    /// The writing of its Endpoints.
    Written(Writing, Result<Option<Box<Endpoints>>, RequestError>),
    /// The deletion of Endpoints, by their uid, that had lost their Service.
    Deleted(String, Result<(), RequestError>),
}

/// What is being written.
#[derive(Debug)]
pub(super) struct Writing {
    /// The uid of the Service that was planned.
    service: String,
    /// The version that is replaced; none if the object is created.
    replaced: Option<String>,
    /// The time that the object is to tell.
    trigger: Option<Timestamp>,
    /// Whether more is to be written once the cache shows this.
    more: bool,
}

impl Controller {
    /// Plans a Service's Endpoints and starts the write, unless the cache is behind our own.
    pub(super) fn plan_endpoints(&mut self, key: Key) {
        let world = &mut self.world;
        let cached = world.endpoints.get(&key).map(Arc::as_ref);
        let Some(service) = world.services.get(&key) else { return self.plan_orphan(key) };
        let pods = world.pods.candidates(service);
        let memory = world.memories.entry(key.clone()).or_default();
        memory.triggers.observe(service, &pods);
        if let Some(own) = memory.own_write.as_mut().filter(|own| own.is_hidden(cached)) {
            own.held = true;
            return;
        }
        let trigger = memory.triggers.take(Part::Endpoints);
        let text = trigger.map(|time| time.to_string());
        let inputs = EndpointsInputs { service, pods: &pods, existing: cached, trigger: text.as_deref() };
        let (endpoints, more) = match plan_endpoints(&inputs) {
            EndpointsPlan::Keep => return self.endpoints.settled(&key),
            EndpointsPlan::Create(endpoints) | EndpointsPlan::Update(endpoints) => (endpoints, false),
            EndpointsPlan::Step(endpoints) => (endpoints, true),
        };
        let replaced = cached.map(|cached| cached.metadata.resource_version.clone());
        let writing = Writing { service: service.metadata.uid.clone(), replaced, trigger, more };
        world.writing_endpoints.insert(key.clone(), false);
        let cluster = self.cluster.clone();
        self.endpoints.start(key, async move {
            let answer = write_endpoints(&cluster, writing.replaced.is_none(), endpoints).await;
            Over::Written(writing, answer.map(|made| made.map(Box::new)))
        });
    }

    /// Deletes what a Service left behind (S-229).
    fn plan_orphan(&mut self, key: Key) {
        let Some(uid) = self.world.orphaned.get(&key).cloned() else { return self.endpoints.forget(&key) };
        let cached = self.world.endpoints.get(&key).filter(|cached| cached.metadata.uid == uid);
        if cached.is_some_and(|cached| !is_orphan(cached, false)) {
            self.world.orphaned.remove(&key);
            return self.endpoints.forget(&key);
        }
        self.world.writing_endpoints.insert(key.clone(), false);
        let (cluster, service) = (self.cluster.clone(), key.clone());
        self.endpoints.start(key, async move {
            let answer = delete_endpoints(&cluster, &service, &uid).await;
            Over::Deleted(uid, answer)
        });
    }

    pub(super) fn endpoints_over(&mut self, over: Option<(Key, Over)>) {
        let Some((key, over)) = over else { return };
        let moved = self.world.writing_endpoints.remove(&key).unwrap_or_default();
        match over {
            Over::Written(writing, Ok(Some(made))) => self.endpoints_written(key, writing, &made, moved),
            Over::Written(writing, Err(error)) => {
                self.mark_if(moved, &key);
                self.endpoints_refused(key, &writing, &error);
            }
            Over::Deleted(uid, answer) => self.orphan_deleted(key, &uid, answer),
            Over::Written(_, Ok(None)) => {
                self.mark_if(moved, &key);
                self.endpoints.done(&key);
            }
        }
    }

    fn mark_if(&mut self, condition: bool, key: &Key) {
        if condition {
            self.endpoints.mark(key.clone());
        }
    }

    /// Notes our write until the cache moves; it may have come to show it, or a later one, before the answer came.
    fn endpoints_written(&mut self, key: Key, writing: Writing, made: &Endpoints, moved: bool) {
        self.endpoints.done(&key);
        let (uid, made_version) = (&made.metadata.uid, &made.metadata.resource_version);
        if !self.world.services.contains_key(&key) {
            // The Service went while this was under way: nobody else knows of it (S-229).
            if is_orphan(made, false) {
                self.world.orphaned.insert(key.clone(), uid.clone());
            }
            return self.endpoints.mark(key);
        }
        let cached = self.world.endpoints.get(&key);
        let is_shown = cached
            .is_some_and(|cached| cached.metadata.uid == *uid && cached.metadata.resource_version == *made_version);
        let changed_something = writing.replaced.as_ref() != Some(made_version);
        self.mark_if(if is_shown { writing.more } else { moved }, &key);
        // What was written without changing anything is never shown again.
        let own = (!is_shown && changed_something).then(|| OwnWrite {
            uid: uid.clone(),
            replaced: writing.replaced,
            made: made_version.clone(),
            held: writing.more,
        });
        let memory = self.world.memories.entry(key).or_default();
        memory.own_write = own;
        if writing.more {
            // The next write tells it, too: what this one left out is what changed.
            memory.triggers.put_back(Part::Endpoints, writing.trigger);
        }
    }

    fn endpoints_refused(&mut self, key: Key, writing: &Writing, error: &RequestError) {
        let service = self.world.services.get(&key).filter(|service| service.metadata.uid == writing.service);
        let memory = self.world.memories.get_mut(&key).filter(|_| service.is_some());
        if let Some(memory) = memory {
            memory.triggers.put_back(Part::Endpoints, writing.trigger);
            if writing.replaced.is_some() {
                memory.own_write = None;
            }
        }
        let is_refused = error.code().is_some_and(|code| (400..500).contains(&code));
        if writing.replaced.is_none() && !is_refused {
            self.world.perhaps_made(&key);
        }
        if is_behind(error) {
            tracing::debug!(service = name(&key), %error, "Endpoints were changed by somebody else; planning anew");
            self.endpoints.behind(key);
        } else {
            let text = runloop::chain(error);
            tracing::warn!(service = name(&key), error = text, "Endpoints could not be written; trying again");
            self.endpoints.failed(key, error);
        }
    }

    /// The mark stays until the object is gone for good. Another one of its name, by which the server refuses this, is
    /// somebody's preparation.
    fn orphan_deleted(&mut self, key: Key, uid: &str, answer: Result<(), RequestError>) {
        let replaced = self.world.endpoints.get(&key).is_some_and(|cached| cached.metadata.uid != uid);
        let is_over = match &answer {
            Ok(()) => true,
            Err(error) => error.code() == Some(409) && replaced,
        };
        if is_over && self.world.orphaned.get(&key).is_some_and(|orphan| orphan == uid) {
            self.world.orphaned.remove(&key);
        }
        // The Service may have come back meanwhile.
        self.endpoints.mark(key.clone());
        match answer {
            Ok(()) => self.endpoints.done(&key),
            Err(error) if is_behind(&error) => self.endpoints.behind(key),
            Err(error) => {
                let text = runloop::chain(&error);
                tracing::warn!(service = name(&key), error = text, "Endpoints could not be deleted; trying again");
                self.endpoints.failed(key, &error);
            }
        }
    }
}
