//! What kubectl sees. Expected texts come from S-104 and from Kubernetes's documentation.

#[path = "../harness/mod.rs"]
mod harness;

mod apply;
mod create;
mod delete;
mod describe;
mod discover;
mod events;
mod get;
mod lists;
mod patch;
mod reach;
mod refusals;
mod replace;
mod wait;
mod watch;

/// A Service with an address of its own choice.
const WEB: &str = "
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  clusterIP: 10.96.0.80
  clusterIPs: [10.96.0.80]
  selector:
    app: web
  ports:
  - name: http
    port: 80
    targetPort: 8080
";

const NOT_FOUND: &str = "Error from server (NotFound): services \"nothing\" not found\n";

/// The manifest of another Service with the same ports.
fn named(name: &str, address: &str) -> String {
    WEB.replace("name: web\nspec", &format!("name: {name}\nspec")).replace("10.96.0.80", address)
}
